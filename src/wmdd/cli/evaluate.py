"""`wmdd evaluate`: train further students on the set of a run. Parses its words at once and returns what to do."""

from collections.abc import Sequence
from dataclasses import asdict

from wmdd.cli.arguments import Action, asks_help, read_settings, show_settings, take_flags, target_of
from wmdd.cli.render import ListeningScreen, show_scores
from wmdd.requests.evaluate import (
    EvaluateFlags,
    EvaluateRequest,
    evaluate_request,
    evaluated_settings,
    require_evaluated,
)


def evaluate(words: Sequence[str]) -> Action:
    """`wmdd evaluate RUN --data DATA ...`."""
    if asks_help(words):
        return _help
    request = read_evaluate(words)

    def act() -> int:
        request.require_inputs()
        from wmdd import api  # noqa: PLC0415 - torch is imported here, once the input is known to be there
        from wmdd.pipeline.run_files import read_metrics  # noqa: PLC0415

        with ListeningScreen().listening() as screen:
            evaluation = api.make_scores(request, watcher=screen)
        metrics = read_metrics(request.run)
        show_scores({**metrics, "evaluations": [asdict(score) for score in evaluation.scores]})
        return 0

    return act


def read_evaluate(words: Sequence[str]) -> EvaluateRequest:
    """Return the students that words ask for; raises `ConfigError` if one is wrong."""
    run = target_of(EvaluateFlags, words)
    own, rest = take_flags(EvaluateFlags, words[1:])
    types = {name: kind for name, kind in evaluated_settings().items() if name not in EvaluateFlags.model_fields}
    return evaluate_request(run, {**own, **read_settings(rest, types, EvaluateFlags, require_evaluated)})


def _help() -> int:
    text = (
        "Train students on the set of RUN, and on real images as references. Settings of the sections evaluate, "
        "relabel and data, as of `wmdd distill`, replace those of the run."
    )
    show_settings("wmdd evaluate RUN --data DATA", EvaluateFlags(), text)
    return 0
