"""`wmdd distill`: distil a data set and evaluate the result. Parses its words at once and returns what to do."""

import shlex
from collections.abc import Sequence
from typing import Any

from pydantic import create_model

from wmdd.cli.arguments import (
    Action,
    asks_help,
    read_settings,
    show_settings,
    take_flags,
    target_of,
    without_help,
)
from wmdd.cli.render import Screen, say, show_scores
from wmdd.errors import ConfigError, did_you_mean
from wmdd.methods.catalogue import complete, method_of
from wmdd.methods.method import Method
from wmdd.recipes import choose_recipe
from wmdd.settings import Section
from wmdd.settings.recipe import Tree, merged

_SHARED_STAGES = ("squeeze", "random", "diagnose", "relabel", "evaluate", "full_data")
"""Stages of every run; those of its method come from the method's card."""


class DistillFlags(Section):
    """Flags of `wmdd distill` beside the settings of the run."""

    method: str | None = None
    """How images are distilled; `wmdd list methods` names them."""
    recipe: str | None = None
    """Name of a recipe (`wmdd list recipes`) or a YAML file; default: the one called like DATA, if any."""
    out: str | None = None
    """Folder of the run; default runs/DATA-METHOD-ipcN."""
    store: str | None = None
    """Folder of stage results, shared between runs; default runs/.store."""
    until: str | None = None
    """Stop after this stage: squeeze, one of the method's own, random, diagnose, relabel, evaluate, full_data."""


def distill(words: Sequence[str]) -> Action:
    """`wmdd distill DATA ...`."""
    if asks_help(words):
        return _help(words)
    data = target_of("distill", "`wmdd distill DATA [--ipc 10] ...`", words)
    own, rest = take_flags(DistillFlags, words[1:])
    base = _base(data, own)
    method = method_of(base)
    recipe = complete(base, read_settings(rest, [method], DistillFlags))
    _check_stage(own.get("until"), method)
    paths = {name: own[name] for name in ("out", "store") if name in own}
    command = shlex.join(["wmdd", "distill", *words])

    def act() -> int:
        from wmdd import api  # noqa: PLC0415 - torch is imported here, once the words are known to be right

        with Screen().listening() as screen:
            run = api.distill(data, recipe=recipe, until=own.get("until"), watcher=screen, command=command, **paths)
        if run.metrics:
            show_scores(run.metrics)
            say(f"report: {run.out / 'report.html'}")
        else:
            say(f"stopped after {own['until']}; the same command without --until goes on")
        return 0

    return act


def _base(data: str, own: dict[str, Any]) -> Tree:
    """Return the settings of the recipe, under the method that the words name, if any."""
    return merged(choose_recipe(data, own.get("recipe")), {name: own[name] for name in ("method",) if name in own})


def _check_stage(until: str | None, method: Method) -> None:
    stages = (*_SHARED_STAGES, *method.stages)
    if until is not None and until not in stages:
        raise ConfigError(f"--until: no stage of {method.name}; got {until!r}{did_you_mean(until, stages)}")


def _help(words: Sequence[str]) -> Action:
    """Return what shows all flags, with the values of the recipe and the method that words name as defaults."""
    data, rest = without_help(words)
    own, _ = take_flags(DistillFlags, rest)
    recipe = complete(_base(data, own))
    kind = create_model("Words", __base__=(DistillFlags, type(recipe)))
    default = kind(**recipe.model_dump())

    def act() -> int:
        show_settings("wmdd distill DATA", default, "Distil DATA and evaluate the result.")
        return 0

    return act
