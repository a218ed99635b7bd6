"""A bench recipe: rows, numbers of images per class and seeds, on one recipe. Free of torch."""

import re
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import Field, PositiveInt

from wmdd.errors import ConfigError, WmddError, did_you_mean
from wmdd.evaluation.references import reference_methods
from wmdd.evaluation.rows import BASELINE
from wmdd.methods.catalogue import builtin_methods, complete, find_method, known_methods
from wmdd.methods.method import Method
from wmdd.pipeline.checks import stage_names
from wmdd.settings import Recipe, Section
from wmdd.settings.recipe import dotted, merged

_SHARED = ("data.", "squeeze.", "ipc", "seed", "device", "precision", "threads", "compile", "save_every")
"""Settings that all rows share, or they could not be compared."""


class BenchRecipe(Section):
    """A table of results: every row at every number of images per class, under the students and protocols of `base`."""

    section: ClassVar[str] = "bench"

    base: dict[str, Any] = Field(default_factory=dict)
    """Settings of every cell: of the teacher, the students and each method; a row takes those that it reads."""
    methods: Annotated[tuple[str, ...], Field(min_length=1)] = (BASELINE, "wmdd")
    """The rows in order: methods, and names of `variants`; random real images always come first. Medoids come last, if
    they are among the references of the base and not named here."""
    ipcs: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (10,)
    """Images per class."""
    distill_seeds: PositiveInt = 3
    """Sets distilled for each row, from seeds counted up from the base's; all share one teacher. With 1, differences
    hold for these very sets only."""
    variants: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Rows that differ from the base: name → settings. A variant with the name of a method changes that method's row;
    another one may name its `method`, else it is the base's."""

    losses: bool = False
    """Measure every set by the losses of distillation too, so that `wmdd predict` can tell which of them predict."""

    worth: bool = False
    """Train students on random real images in growing numbers too, so that every row has its exchange rate: how many of
    them is one of its images worth?"""

    @property
    def shared(self) -> Recipe:
        """The settings that all rows share, as the recipe of random real images."""
        return complete(merged(self.base, {"method": BASELINE}))

    @property
    def rows(self) -> tuple[str, ...]:
        """The rows, random real images first, medoids last unless they have another place; none twice."""
        return tuple(dict.fromkeys((BASELINE, *self.methods, *reference_methods(self.shared))))

    def method_of(self, row: str) -> str:
        """Return the method of a row."""
        named = self.variants.get(row, {}).get("method")
        own = row in builtin_methods() or row not in self.variants
        return str(named or (row if own else self.base.get("method", "wmdd")))

    def cards(self) -> list[Method]:
        """Return the methods of all rows, none twice.

        Raises:
            ConfigError: a row is neither a method nor a variant.
        """
        known = {**known_methods(), **dict.fromkeys(self.variants, "")}
        for row in self.rows:
            if row not in known or self.method_of(row) not in known_methods():
                word = row if row not in known else self.method_of(row)
                raise ConfigError(f"bench: no such method or variant; got {word!r}{did_you_mean(word, known)}")
        return [find_method(name) for name in dict.fromkeys(map(self.method_of, self.rows))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One distilled set of the table: a row, a number of images per class, a seed; and all its settings."""

    row: str
    recipe: Recipe

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{self.row}-ipc{self.recipe.ipc}-seed{self.recipe.seed}"

    @property
    def folder(self) -> str:
        """Its folder in that of the bench."""
        return f"cells/{self.name}"


def cells(bench: BenchRecipe) -> list[Cell]:
    """Return all cells: those of random real images first, since all others are evaluated beside them.

    Raises:
        ConfigError: a row is neither a method nor a variant, a setting does not fit, or a variant changes what all rows
            share.
    """
    bench.cards()  # refuses unknown rows
    _check_variants(bench)
    seed = bench.shared.seed
    return [
        Cell(row=row, recipe=_settings(bench, row, ipc, number))
        for row in bench.rows
        for ipc in dict.fromkeys(bench.ipcs)
        for number in range(seed, seed + bench.distill_seeds)
    ]


def bench_stage_names(bench: BenchRecipe) -> tuple[str, ...]:
    """Return the stages of all cells, and of what is measured beside them."""
    names = [
        "squeeze",
        *(stage for cell in cells(bench) for stage in stage_names(cell.recipe)),
        *(["statistics", "view_features", "losses"] if bench.losses else []),
        *(["pool"] if bench.worth else []),
    ]
    return tuple(dict.fromkeys(names))


def _check_variants(bench: BenchRecipe) -> None:
    for name, changes in bench.variants.items():
        if not re.fullmatch(r"[\w.+=-]+", name):
            raise ConfigError(f"variants: a row's name becomes a folder's; got {name!r}; use letters, digits, . + = -")
        shared = [setting for setting in dotted(changes) if setting.startswith(_SHARED)]
        if shared:
            raise ConfigError(f"variants.{name}: all rows share {shared[0]}; got another one; set it in the base")


def _settings(bench: BenchRecipe, row: str, ipc: int, seed: int) -> Recipe:
    """Return the settings of a cell; references that are rows of the bench are not evaluated beside it once more."""
    beside = tuple(name for name in bench.shared.evaluate.references if name == BASELINE or name not in bench.rows)
    of_cell = {"method": bench.method_of(row), "ipc": ipc, "seed": seed, "evaluate.references": beside}
    tree = merged(bench.base, of_cell)
    try:
        return complete(tree, bench.variants.get(row, {}))
    except WmddError as error:
        raise ConfigError(f"variants.{row}: {error}" if row in bench.variants else str(error)) from None
