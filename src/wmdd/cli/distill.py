"""`wmdd distill`: distil a data set and evaluate the result. Parses its words at once and returns what to do."""

import shlex
from collections.abc import Sequence
from typing import Any

from pydantic import Field, create_model

from wmdd.cli.arguments import (
    Action,
    asks_help,
    read_settings,
    require_data,
    show_settings,
    take_flags,
    target_of,
    without_help,
)
from wmdd.cli.render import Screen, say, show_scores
from wmdd.methods.catalogue import complete, method_of
from wmdd.pipeline.checks import require_checkpoint, require_names, require_stage, stage_names
from wmdd.recipes import choose_recipe
from wmdd.settings import Section
from wmdd.settings.recipe import Tree, merged


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
    """Stop after this stage."""


def distill(words: Sequence[str]) -> Action:
    """`wmdd distill DATA ...`."""
    if asks_help(words):
        return _help(words)
    data = target_of("distill", "`wmdd distill DATA [--ipc 10] ...`", words)
    own, rest = take_flags(DistillFlags, words[1:])
    base = _base(data, own)
    recipe = complete(base, read_settings(rest, [method_of(base)], DistillFlags))
    require_stage(own.get("until"), recipe)
    require_names(recipe)
    paths = {name: own[name] for name in ("out", "store") if name in own}
    command = shlex.join(["wmdd", "distill", *words])

    def act() -> int:
        require_checkpoint(recipe)
        require_data(data)
        from wmdd import api  # noqa: PLC0415 - torch is imported here, once the input is known to be there

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


def _help(words: Sequence[str]) -> Action:
    """Return what shows all flags, with the values of the recipe and the method that words name as defaults."""
    data, rest = without_help(words)
    own, _ = take_flags(DistillFlags, rest)
    recipe = complete(_base(data, own))
    until = Field(default=None, description=f"Stop after this stage: {', '.join(stage_names(recipe))}.")
    kind = create_model("Words", __base__=(DistillFlags, type(recipe)), until=(str | None, until))
    default = kind(**recipe.model_dump())

    def act() -> int:
        show_settings("wmdd distill DATA", default, "Distil DATA and evaluate the result.")
        return 0

    return act
