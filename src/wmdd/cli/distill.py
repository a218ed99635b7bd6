"""`wmdd distill`: distil a data set and evaluate the result. Parses its words at once and returns what to do."""

import shlex
from collections.abc import Sequence

from pydantic import Field, create_model

from wmdd.cli.arguments import Action, asks_help, read_settings, show_settings, take_flags, target_of, without_help
from wmdd.cli.render import ListeningScreen, say, show_scores
from wmdd.methods.catalogue import complete, method_of
from wmdd.pipeline.checks import stage_names
from wmdd.requests.distill import DistillFlags, DistillRequest, distill_base, distill_request
from wmdd.requests.given import method_settings, require_settings, sort_given


def distill(words: Sequence[str]) -> Action:
    """`wmdd distill DATA ...`."""
    if asks_help(words):
        return _help(words)
    request = read_distill(words)
    command = shlex.join(["wmdd", "distill", *words])

    def act() -> int:
        request.require_inputs()
        from wmdd import api  # noqa: PLC0415 - torch is imported here, once the input is known to be there

        with ListeningScreen().listening() as screen:
            run = api.make_run(request, watcher=screen, command=command)
        if run.metrics:
            show_scores(run.metrics)
            say(f"report: {run.out / 'report.html'}")
        else:
            say(f"stopped after {request.until}; the same command without --until goes on")
        return 0

    return act


def read_distill(words: Sequence[str]) -> DistillRequest:
    """Return the run that words ask for; raises `ConfigError` if one is wrong."""
    data = target_of(DistillFlags, words)
    own, rest = take_flags(DistillFlags, words[1:])
    methods = [method_of(distill_base(data, sort_given(DistillFlags, own)[0]))]
    types = method_settings(methods, DistillFlags)
    settings = read_settings(rest, types, DistillFlags, lambda names: require_settings(names, methods, DistillFlags))
    return distill_request(data, {**own, **settings})


def _help(words: Sequence[str]) -> Action:
    """Return what shows all flags, with the values of the recipe and the method that words name as defaults."""
    data, rest = without_help(words)
    own, _ = take_flags(DistillFlags, rest)
    recipe = complete(distill_base(data, sort_given(DistillFlags, own)[0]))
    until = Field(default=None, description=f"Stop after this stage: {', '.join(stage_names(recipe))}.")
    kind = create_model("Words", __base__=(DistillFlags, type(recipe)), until=(str | None, until))
    default = kind(**recipe.model_dump())

    def act() -> int:
        show_settings("wmdd distill DATA", default, "Distil DATA and evaluate the result.")
        return 0

    return act
