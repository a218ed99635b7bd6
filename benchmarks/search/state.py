"""What a rung has found so far, as a file: from it the table is drawn again at any moment."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from benchmarks.search.halving import Table
from benchmarks.search.variants import WMDD, Variant

from wmdd.artifacts.files import make_folder, write_json
from wmdd.artifacts.parsing import read_as
from wmdd.errors import ArtifactError
from wmdd.evaluation.real_names import CEILING_SET
from wmdd.evaluation.rows import BASELINE, Conditions, conditions_of, number

SCHEMA = 1
KINDS = ("soft", "hard")
"""Kinds of labels; each has a ranking."""
RESULTS = Path("benchmarks/results/search")
Score = dict[str, Any]


class Panel(NamedTuple):
    """What is compared: numbers of images per class, students, protocols and labels, whatever the rung's epochs."""

    ipc: int
    student: str
    protocol: str
    labels: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RungState:
    """A rung: which variants took part, and the contents of its `bench.json`."""

    rung: int
    data: str
    """Name of the source of the real images, without the folder that it is in."""
    recipe: str
    """Name of the base recipe, or of its file."""
    base: dict[str, Any]
    """Its settings, with those of the command."""
    variants: dict[str, Variant]
    twins: dict[str, str]
    """Variants of the search with the settings of another row: variant → that row."""
    bench: dict[str, Any]
    """Contents of `bench.json`; beside random images the ceiling alone is kept, beside the other rows nothing."""

    @property
    def waiting(self) -> int:
        """Number of sets that are still to be made and judged."""
        return sum(cell["state"] == "waiting" for cell in self.bench["cells"])

    def write(self, folder: Path) -> None:
        """Write the state of the rung."""
        make_folder(folder)
        kept = {name: getattr(self, name) for name in ("rung", "data", "recipe", "base", "twins", "bench")}
        variants = {name: variant.model_dump() for name, variant in self.variants.items()}
        write_json(state_file(folder, self.rung), {"schema": SCHEMA, **kept, "variants": variants})


def state_file(folder: Path, rung: int) -> Path:
    """Return where the state of a rung is kept."""
    return folder / f"rung{rung}.json"


def read_state(folder: Path, rung: int) -> RungState | None:
    """Return the state of a rung; None if it has not begun.

    Raises:
        ArtifactError: the file is damaged, or of another schema.
    """
    path, advice = state_file(folder, rung), "remove it and run the search again: what was made is found in the store"
    if not path.exists():
        return None
    schema = read_as(dict[str, Any], path, advice=advice).get("schema")
    if schema != SCHEMA:
        raise ArtifactError(f"{path} is of another schema; got {schema!r}; {advice}")
    return read_as(RungState, path, advice=advice)


def read_states(folder: Path) -> list[RungState]:
    """Return the states of all rungs that have begun, the first one in front."""
    states: list[RungState] = []
    while (state := read_state(folder, len(states) + 1)) is not None:
        states.append(state)
    return states


def trimmed(bench: Mapping[str, Any]) -> dict[str, Any]:
    """Return the contents of `bench.json` without what stands beside a set and is a row of its own."""
    return {**bench, "cells": [{**cell, "beside": _ceiling(cell)} for cell in bench["cells"]]}


def _ceiling(cell: Mapping[str, Any]) -> list[Score]:
    return [score for score in cell["beside"] if score["set"] == CEILING_SET] if cell["row"] == BASELINE else []


def panels(bench: Mapping[str, Any]) -> dict[Panel, dict[str, list[Score]]]:
    """Return the scores of each row, and of all real images, in each panel.

    Rows that were judged by other rules than WMDD, or that other teachers label, cannot be compared with it; they are
    left out.
    """
    found: dict[Conditions, dict[str, list[Score]]] = {}
    for cell in bench["cells"]:
        for score in (*cell["scores"], *cell["beside"]):
            row = CEILING_SET if score["set"] == CEILING_SET else cell["row"]
            full = {**score, "set": row, "ipc": cell["ipc"], "distill_seed": cell["seed"]}
            if number(score.get("top1")) is not None:
                found.setdefault(conditions_of(full), {}).setdefault(row, []).append(full)
    return {
        Panel(conditions.ipc, conditions.student, rows[WMDD][0]["protocol"], conditions.labels): rows
        for conditions, rows in found.items()
        if WMDD in rows
    }


def tables(state: RungState) -> dict[str, Table]:
    """Return for each kind of labels the accuracies of the variants in each block: panel and seed of distillation.

    WMDD is not among the variants; it says which blocks there are. A variant that lacks one is left out.
    """
    of_panels = panels(state.bench)
    return {
        kind: _table(state, {panel: of_panels[panel] for panel in of_panels if panel.labels == kind}) for kind in KINDS
    }


def _table(state: RungState, of_panels: Mapping[Panel, Mapping[str, list[Score]]]) -> Table:
    blocks = {panel: sorted({score["distill_seed"] for score in rows[WMDD]}) for panel, rows in of_panels.items()}
    found: dict[str, list[float]] = {}
    for name in state.variants:
        values = [
            [score["top1"] for score in of_panels[panel].get(name, ()) if score["distill_seed"] == seed]
            for panel, seeds in blocks.items()
            for seed in seeds
        ]
        if values and all(values):
            found[name] = [fmean(students) for students in values]
    return found
