"""A bench recipe: which rows, at how many images per class, from how many seeds, on one recipe. Free of torch."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import yaml
from pydantic import Field

from wmdd.errors import ConfigError, WmddError, did_you_mean
from wmdd.methods.names import BASELINE, METHODS, known_methods
from wmdd.pipeline.recipe import Recipe, dotted
from wmdd.settings import Positive, Section

_SHARED = ("data.", "squeeze.", "ipc", "seed", "device", "precision", "save_every")
"""Settings that all rows have in common, or they could not be compared."""


class BenchRecipe(Section):
    """A table of results: every row at every number of images per class, under the students and protocols of `base`."""

    section: ClassVar[str] = "bench"

    base: Recipe = Recipe()
    """Settings of every cell: the teacher, the students, what each method needs."""
    methods: Annotated[tuple[str, ...], Field(min_length=1)] = (BASELINE, "wmdd")
    """The rows in order: methods, and names of `variants`; random real images always come first."""
    ipcs: Annotated[tuple[Positive, ...], Field(min_length=1)] = (10,)
    """Images per class."""
    distill_seeds: Positive = 1
    """Sets distilled for each row, from seeds counted up from the base's; all share one teacher."""
    variants: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Rows that differ from the base: name → settings. A variant called like a method changes that method's row;
    another one may name its `method`, else it is the base's."""

    @property
    def rows(self) -> tuple[str, ...]:
        """The rows, random real images first, none twice."""
        return tuple(dict.fromkeys((BASELINE, *self.methods)))

    def method_of(self, row: str) -> str:
        """Return the method of a row."""
        named = self.variants.get(row, {}).get("method")
        return str(named or (row if row in METHODS or row not in self.variants else self.base.method))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One distilled set of the table: a row, a number of images per class, a seed; and all its settings."""

    row: str
    recipe: Recipe

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{self.row}-ipc{self.recipe.ipc}-seed{self.recipe.seed}"


def cells(bench: BenchRecipe) -> list[Cell]:
    """Return all cells: those of random real images first, as all others are evaluated beside them.

    Raises:
        ConfigError: a row is neither a method nor a variant, or a variant changes what all rows share.
    """
    _check_rows(bench)
    return [
        Cell(row=row, recipe=_settings(bench, row, ipc, seed))
        for row in bench.rows
        for ipc in dict.fromkeys(bench.ipcs)
        for seed in range(bench.base.seed, bench.base.seed + bench.distill_seeds)
    ]


def _check_rows(bench: BenchRecipe) -> None:
    known = {**known_methods(), **dict.fromkeys(bench.variants, "")}
    for row in bench.rows:
        if row not in known or bench.method_of(row) not in known_methods():
            word = row if row not in known else bench.method_of(row)
            raise ConfigError(f"bench: no such method or variant; got {word!r}{did_you_mean(word, known)}")
    for name, changes in bench.variants.items():
        if not re.fullmatch(r"[\w.+=-]+", name):
            raise ConfigError(f"variants: a row's name becomes a folder's; got {name!r}; use letters, digits, . + = -")
        shared = [setting for setting in dotted(changes) if setting.startswith(_SHARED)]
        if shared:
            raise ConfigError(f"variants.{name}: all rows share {shared[0]}; got another one; set it in the base")


def _settings(bench: BenchRecipe, row: str, ipc: int, seed: int) -> Recipe:
    recipe = bench.base.with_settings({"method": bench.method_of(row), "ipc": ipc, "seed": seed})
    try:
        return recipe.with_settings(bench.variants.get(row, {}))
    except WmddError as error:
        raise ConfigError(f"variants.{row}: {error}") from None


def is_bench(tree: Any) -> bool:
    """Tell whether the contents of a YAML file are a bench recipe rather than a recipe."""
    return isinstance(tree, dict) and ("base" in tree or "methods" in tree)


def build_bench(tree: dict[str, Any], named: Callable[[str], Recipe], path: Path) -> BenchRecipe:
    """Return the bench recipe that a YAML file at `path` holds; its `base` is a recipe's name or settings.

    Raises:
        ConfigError: it has wrong settings; the message names the file.
    """
    base = tree.get("base", {})
    try:
        values: dict[str, Any] = {
            **tree,
            "base": named(base) if isinstance(base, str) else Recipe().with_settings(base),
        }
        return BenchRecipe(**values)
    except WmddError as error:
        raise ConfigError(f"{path}: {error}") from None


def write_bench_recipe(bench: BenchRecipe) -> str:
    """Return a bench recipe as YAML, every setting included."""
    return yaml.safe_dump(bench.model_dump(mode="json"), sort_keys=False)
