"""`wmdd worth`: what the set of a run is worth in random real images. Parses its words at once."""

from collections.abc import Sequence

from wmdd.cli.arguments import Action, asks_help, read_settings, show_settings, take_flags, target_of
from wmdd.cli.render import ListeningScreen, say, show_table
from wmdd.requests.evaluate import evaluated_settings, require_evaluated
from wmdd.requests.worth import WorthFlags, WorthRequest, worth_request


def worth(words: Sequence[str]) -> Action:
    """`wmdd worth RUN --data DATA ...`."""
    if asks_help(words):
        return _help
    request = read_worth(words)

    def act() -> int:
        request.require_inputs()
        from wmdd import api  # noqa: PLC0415 - torch is imported here, once the input is known to be there
        from wmdd.report import READING  # noqa: PLC0415 - imports matplotlib
        from wmdd.report.worth import CURVE_COLUMNS, curve_lines, rate_sentence, setting  # noqa: PLC0415

        with ListeningScreen().listening() as screen:
            found = api.make_worth(request, watcher=screen)
        for pair in found:
            show_table(setting(pair.row.conditions), CURVE_COLUMNS, curve_lines(pair.block, pair.row.set))
            say(f"{rate_sentence(pair.block, pair.row.set)}\n")
        say(READING)
        return say(f"report: {request.run / 'report.html'}")

    return act


def read_worth(words: Sequence[str]) -> WorthRequest:
    """Return what words ask for; raises `ConfigError` if one is wrong."""
    run = target_of(WorthFlags, words)
    own, rest = take_flags(WorthFlags, words[1:])
    types = {name: kind for name, kind in evaluated_settings(WorthFlags).items() if name not in WorthFlags.model_fields}
    settings = read_settings(rest, types, WorthFlags, lambda names: require_evaluated(names, WorthFlags))
    return worth_request(run, {**own, **settings})


def _help() -> int:
    text = (
        "Train students on random real images in growing numbers, under the rules of the students of RUN's set: how "
        "many of them is one image of the set worth? Settings of the sections evaluate, relabel and data, as of "
        "`wmdd distill`, replace those of the run."
    )
    show_settings("wmdd worth RUN --data DATA", WorthFlags(), text)
    return 0
