"""`wmdd distill` and `wmdd.distill`: the run that is asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from wmdd.methods.catalogue import complete, method_of
from wmdd.pipeline.checks import require_checkpoint, require_fresh, require_names, require_stage, stage_names
from wmdd.recipes import choose_recipe
from wmdd.requests.given import (
    STORE,
    Flags,
    Given,
    plain_name,
    require_data,
    require_settings,
    require_target,
    sort_given,
)
from wmdd.settings import Recipe
from wmdd.settings.recipe import Tree, merged


class DistillFlags(Flags):
    """Flags of `wmdd distill` beside the settings of the run."""

    command: ClassVar[str] = "distill"
    usage: ClassVar[str] = "`wmdd distill DATA [--ipc 10] ...`"

    method: str | None = None
    """How images are distilled; `wmdd list methods` names them; none = the recipe's, else wmdd."""
    recipe: str | None = None
    """Name of a recipe (`wmdd list recipes`) or a YAML file; none = the one called like DATA, if any."""
    out: str | None = None
    """Folder of the run; none = runs/DATA-METHOD-ipcN."""
    store: str | None = None
    """Folder of stage results, shared between runs; none = runs/.store."""
    until: str | None = None
    """Stop after this stage."""
    fresh: str | None = None
    """Make the results of this stage anew, although they are there; what rests on them follows if they came out
    otherwise. Each takes the old one's place once it is finished."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillRequest:
    """A run."""

    data: str
    recipe: Recipe
    out: Path
    store: Path
    until: str | None
    """Last stage; None = all."""
    fresh: str | None = None
    """Stage whose results are made anew; None = none."""

    def require_inputs(self) -> None:
        """Refuse a checkpoint or data that are not there.

        Raises:
            WmddError: one is missing.
        """
        require_checkpoint(self.recipe)
        require_data(self.data)


def distill_request(data: str | Path, given: Given, recipe: Recipe | None = None) -> DistillRequest:
    """Return the run that is asked for.

    Args:
        data: folder of pictures, or the name of another source.
        given: flags and settings, which replace those of the recipe.
        recipe: a recipe in place of the name or file of one.

    Raises:
        ConfigError: a name is unknown, or a value does not fit.
    """
    source = require_target(DistillFlags, data)
    flags, settings = sort_given(DistillFlags, given)
    base = distill_base(source, flags, recipe)
    require_settings(settings, [method_of(base)], DistillFlags)
    resolved = complete(base, settings)
    require_stage(flags.until, resolved)
    require_fresh(flags.fresh, stage_names(resolved), flags.until)
    require_names(resolved)
    out = Path("runs") / f"{plain_name(source)}-{resolved.method}-ipc{resolved.ipc}"
    return DistillRequest(
        data=source,
        recipe=resolved,
        out=Path(flags.out or out),
        store=Path(flags.store or STORE),
        until=flags.until,
        fresh=flags.fresh,
    )


def distill_base(data: str, flags: DistillFlags, recipe: Recipe | None = None) -> Tree:
    """Return the settings of the recipe, under the method that the flags name, if any."""
    base = choose_recipe(data, flags.recipe) if recipe is None else recipe.model_dump()
    return base if flags.method is None else merged(base, {"method": flags.method})
