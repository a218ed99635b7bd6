"""Variants: named settings on the base recipe, with the idea behind them and the gain that it promises."""

from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from wmdd.errors import ConfigError
from wmdd.evaluation.rows import BASELINE
from wmdd.pipeline.bench_recipe import BenchRecipe, cells
from wmdd.settings import Section
from wmdd.settings.recipe import dotted, merged, read_tree

WMDD = "wmdd"
"""The row that gains are measured from: the base recipe as it is."""
BASELINES = (BASELINE, WMDD)
"""Rows of every rung."""
FOLDER = Path(__file__).parent / "variants"
BASE = Path(__file__).parent / "base.yaml"
"""The recipe that variants change, if no other is given."""
_RULES = ("relabel.", "evaluate.")


class Predicted(Section):
    """Points of accuracy above WMDD that the idea promises, written down before anything is measured."""

    section: ClassVar[str] = "predicted"

    soft: float
    """With the teacher's labels."""
    hard: float
    """With the classes alone."""


class Variant(Section):
    """Settings that replace those of the base recipe."""

    section: ClassVar[str] = "variant"

    idea: Annotated[str, Field(min_length=1)]
    """One sentence."""
    predicted: Predicted
    """Gain over WMDD."""
    settings: Annotated[dict[str, Any], Field(min_length=1)]
    """As in a bench recipe; may name a `method`."""


def read_variants(files: Path = FOLDER) -> dict[str, Variant]:
    """Return the variants of a YAML file, or of all YAML files of a folder, by name.

    Raises:
        ConfigError: there are none, one is not as it should be, or two have one name.
    """
    paths = sorted(files.glob("*.yaml")) if files.is_dir() else [files]
    variants: dict[str, Variant] = {}
    for path in paths:
        for name, facts in read_tree(path).items():
            if name in (*variants, *BASELINES):
                raise ConfigError(f"{path}: a variant needs a name of its own; got {name!r} again; give another one")
            variants[name] = _variant(facts, f"{path}: {name}")
    if not variants:
        raise ConfigError(f"a search needs variants; got none in {files}; write a YAML file")
    return variants


def _variant(facts: Any, place: str) -> Variant:
    try:
        if not isinstance(facts, dict):
            raise ConfigError(f"needs idea, predicted and settings; got {facts!r}; see the README")
        variant = Variant(**facts)
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from None
    rules = [name for name in dotted(variant.settings) if name.startswith(_RULES)]
    if rules:
        raise ConfigError(f"{place}: all variants are judged by the same rules; got {rules[0]}; set it in the base")
    return variant


def variant_rows(variants: dict[str, Variant], base: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the settings of each variant as rows of a bench; without a `method`, the base's is meant.

    Unlike in a bench recipe, a variant that has a method's name is of that method only if it says so.
    """
    method = {"method": base.get("method", WMDD)}
    return {name: merged(method, variant.settings) for name, variant in variants.items()}


def twins(base: dict[str, Any], variants: dict[str, Variant]) -> dict[str, str]:
    """Return the variants whose settings are all those of WMDD or of an earlier variant, with that one's name.

    Raises:
        ConfigError: a variant has a setting that its method does not read, or that all rows share.
    """
    table = BenchRecipe(base=base, methods=(WMDD, *variants), variants=variant_rows(variants, base), distill_seeds=1)
    first: dict[str, str] = {}
    found: dict[str, str] = {}
    for cell in cells(table):
        if cell.row in (WMDD, *variants):
            other = first.setdefault(cell.recipe.model_dump_json(), cell.row)
            if other != cell.row:
                found[cell.row] = other
    return found
