"""`wmdd bench` and `wmdd.bench`: the table that is asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pydantic import PositiveInt

from wmdd.methods.catalogue import complete, known_methods
from wmdd.pipeline.bench_recipe import BenchRecipe, bench_stage_names, cells
from wmdd.pipeline.checks import require_checkpoint, require_fresh, require_names
from wmdd.recipes import choose_bench
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
from wmdd.settings.recipe import dotted, merged


class BenchFlags(Flags):
    """Flags of `wmdd bench` beside the settings of its cells: rows and columns of the table."""

    command: ClassVar[str] = "bench"
    usage: ClassVar[str] = "`wmdd bench DATA [--methods all] [--ipcs 1 10] ...`"
    shorthands: ClassVar[Mapping[str, str]] = {name: f"evaluate.{name}" for name in ("students", "protocols", "seeds")}
    spellings: ClassVar[Mapping[str, str]] = {"ipc": "ipcs"}

    methods: tuple[str, ...] | None = None
    """Rows: methods, variants of the recipe, or `all`; random real images are always there; none = the recipe's."""
    ipcs: tuple[PositiveInt, ...] | None = None
    """Images per class; none = the recipe's."""
    students: tuple[str, ...] | None = None
    """Networks to train; `wmdd list models` names them; none = the recipe's."""
    protocols: tuple[str, ...] | None = None
    """How they are trained; `wmdd list protocols` names them; none = the recipe's."""
    seeds: PositiveInt | None = None
    """Students for each set, student and protocol; none = the recipe's."""
    distill_seeds: PositiveInt | None = None
    """Sets for each row and number of images per class; with 1, differences hold for these very sets only; none = the
    recipe's."""
    losses: bool | None = None
    """Measure every set by the losses of distillation too, for `wmdd predict`; none = as the recipe has it."""
    worth: bool | None = None
    """Train students on random real images in growing numbers too: how many of them is one image of a row worth? none =
    as the recipe has it."""
    recipe: str | None = None
    """Name of a recipe or of a bench recipe (`wmdd list recipes`), or a YAML file with one; none = that of DATA."""
    out: str | None = None
    """Folder of the bench; none = runs/bench-DATA, or runs/bench-DATA-RECIPE."""
    store: str | None = None
    """Folder of stage results, shared between runs; none = runs/.store."""
    fresh: str | None = None
    """Make the results of this stage anew, although they are there; what rests on them follows if they came out
    otherwise. Each takes the old one's place once it is finished."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRequest:
    """A table."""

    data: str
    recipe: BenchRecipe
    out: Path
    store: Path
    fresh: str | None = None
    """Stage whose results are made anew; None = none."""

    def require_inputs(self) -> None:
        """Refuse a checkpoint or data that are not there.

        Raises:
            WmddError: one is missing.
        """
        require_checkpoint(self.recipe.shared)
        require_data(self.data)


def bench_request(data: str | Path, given: Given, recipe: BenchRecipe | None = None) -> BenchRequest:
    """Return the table that is asked for.

    Args:
        data: folder of pictures, or the name of another source.
        given: flags, and settings of every cell, which replace those of the recipe.
        recipe: a bench recipe in place of the name or file of one.

    Raises:
        ConfigError: a name is unknown, or a value does not fit.
    """
    source = require_target(BenchFlags, data)
    flags, settings = sort_given(BenchFlags, given)
    table = bench_table(source, flags, recipe)
    table = table.with_(base=merged(table.base, _checked(table, settings)))
    for cell in cells(table):
        require_names(cell.recipe)
    if flags.fresh is not None:
        require_fresh(flags.fresh, bench_stage_names(table))
    named = [Path(flags.recipe).stem] if flags.recipe else []
    out = Path("runs") / "-".join(["bench", plain_name(source), *named])
    places = {"out": Path(flags.out or out), "store": Path(flags.store or STORE)}
    return BenchRequest(data=source, recipe=table, **places, fresh=flags.fresh)


def bench_table(data: str, flags: BenchFlags, recipe: BenchRecipe | None = None) -> BenchRecipe:
    """Return the bench recipe with the rows and columns that the flags name."""
    table = choose_bench(data, flags.recipe) if recipe is None else recipe
    changes = {name: getattr(flags, name) for name in ("methods", "ipcs", "distill_seeds", "losses", "worth")}
    if flags.methods is not None and "all" in flags.methods:
        changes["methods"] = (*known_methods(), *table.variants)
    return table.with_(**{name: value for name, value in changes.items() if value is not None})


def _checked(table: BenchRecipe, settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings of cells as values of their types, so that words and arguments leave the same files."""
    cards, values = table.cards(), dict[str, Any]()
    require_settings(settings, cards, BenchFlags)
    for card in cards:
        recipe = complete(merged(table.base, {"method": card.name}, settings))
        flat = dotted(recipe.model_dump())
        values |= {name: flat[name] for name in sorted(settings) if name in flat}
    return values
