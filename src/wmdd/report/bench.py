"""From the cells of `bench.json` to comparable figures: mean over students and sets, both spreads, costs."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev, variance
from typing import Any

from wmdd.errors import ArtifactError
from wmdd.evaluation.protocols import FULL_DATA_SET
from wmdd.report.collect import REFERENCE, name_of, number
from wmdd.report.tables import plus_minus, summary_rows

BENCH_SCHEMA = 1
_JUDGING = {"relabel", "evaluate"}
"""Stages that come after the images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Top-1 in per cent, after the last epoch, of a row at a number of images per class."""

    mean: float
    within: float | None
    """Standard deviation of the students of one set, pooled over the sets; None of single students."""
    between: float | None
    """Standard deviation of the sets' means; None of a single set."""
    sets: int
    students: int
    """Of all sets together."""
    best: bool = False
    """Highest mean of its column."""

    @property
    def text(self) -> str:
        """The mean with the students' spread, and in brackets the spread between sets if there are several."""
        told = plus_minus(self.mean, self.within)
        return told if self.between is None else f"{told} (± {self.between:.1f})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a row took at a number of images per class, mean over its sets; None is what was not measured."""

    seconds: float
    """To make the images, without the teacher that all rows share."""
    judging: float
    """To label them and to train the students."""
    memory: float | None
    """Bytes at the peak while the images were made."""
    images: float
    """Bytes on disk."""
    labels: float
    """Bytes of soft labels on disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRow:
    """One row of a panel."""

    name: str
    figures: Mapping[int, Figure]
    """By images per class; those that are there."""
    random: Mapping[int, Figure]
    """Random images under the row's labels, where these are not those that all rows share."""

    @property
    def title(self) -> str:
        """The name as papers write it."""
        return name_of(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """Rows that may be compared: one student, protocol and kind of labels."""

    student: str
    protocol: str
    labels: str
    rows: tuple[BenchRow, ...]

    @property
    def title(self) -> str:
        """What the rows have in common."""
        return f"{self.student}, protocol {self.protocol}, {self.labels} labels"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What a bench found so far."""

    results: Mapping[str, Any]
    rows: tuple[str, ...]
    ipcs: tuple[int, ...]
    panels: tuple[Panel, ...]
    costs: Mapping[tuple[str, int], Cost]
    """By row and images per class."""
    full_data: Mapping[str, str]
    """Student → its accuracy on all real images, where that was asked for."""
    failures: tuple[tuple[str, str], ...]
    """Name of a cell, and the line that says why it failed."""
    waiting: int
    """Cells that are still to be made."""


def read_bench(folder: Path) -> Bench:
    """Read a bench's results from its folder.

    Raises:
        ArtifactError: there are none, or they are damaged or of a newer schema.
    """
    path = folder / "bench.json"
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"cannot read {path}; got {type(error).__name__}; run `wmdd bench` again") from None
    if not isinstance(results, dict) or results.get("schema") != BENCH_SCHEMA:
        got = results.get("schema") if isinstance(results, dict) else type(results).__name__
        raise ArtifactError(f"{path} is of another schema; got {got!r}; this wmdd reads schema {BENCH_SCHEMA}")
    return summary(results)


def summary(results: Mapping[str, Any]) -> Bench:
    """Return what the contents of `bench.json` amount to."""
    cells = results["cells"]
    rows = tuple(row["name"] for row in results["rows"])
    ipcs = tuple(int(ipc) for ipc in results["ipcs"])
    return Bench(
        results=results,
        rows=rows,
        ipcs=ipcs,
        panels=tuple(_panels(cells, rows)),
        costs={(row, ipc): cost for row in rows for ipc in ipcs if (cost := _cost(cells, row, ipc)) is not None},
        full_data=_full_data(cells),
        failures=tuple(
            (f"{name_of(cell['row'])}, IPC {cell['ipc']}, seed {cell['seed']}", cell["error"])
            for cell in cells
            if cell["state"] == "failed"
        ),
        waiting=sum(cell["state"] == "waiting" for cell in cells),
    )


def _full_data(cells: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    scores = [score for cell in cells for score in cell["beside"] if score["set"] == FULL_DATA_SET]
    return {row.student: plus_minus(row.mean, row.std) for row in summary_rows({"evaluations": scores})}


Place = tuple[str, str, str]
"""Student, protocol, kind of labels."""
Sets = dict[int, dict[int, float]]
"""Seed of a set → seed of a student → its accuracy."""
Tops = dict[Place, dict[tuple[str, int], Sets]]
"""By place, and then by row and images per class."""


def _panels(cells: Sequence[Mapping[str, Any]], rows: Sequence[str]) -> Iterator[Panel]:
    own = _tops((cell, score) for cell in cells for score in cell["scores"])
    beside = _tops((cell, score) for cell in cells for score in cell["beside"] if score["set"] == REFERENCE)
    for place in dict.fromkeys((*own, *beside)):
        found, random = own.get(place, {}), beside.get(place, {})
        shared = _shared(found, random)
        figures = {key: _figure(sets) for key, sets in {**found, **shared}.items()}
        best = {ipc: max(each.mean for (_, at), each in figures.items() if at == ipc) for _, ipc in figures}
        marked = {key: replace(each, best=each.mean == best[key[1]]) for key, each in figures.items()}
        apart = {key: _figure(sets) for key, sets in random.items() if _differs(sets, shared[REFERENCE, key[1]])}
        lines = (BenchRow(name=row, figures=_of(marked, row), random=_of(apart, row)) for row in rows)
        yield Panel(
            student=place[0], protocol=place[1], labels=place[2], rows=tuple(line for line in lines if line.figures)
        )


def _tops(scores: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> Tops:
    """Return the accuracy of every student, by the row and the set of its cell."""
    tops: Tops = {}
    for cell, score in scores:
        top1 = number(score.get("top1"))
        if top1 is not None:
            place = (str(score["student"]), str(score["protocol"]), str(score["labels"]))
            sets = tops.setdefault(place, {}).setdefault((cell["row"], int(cell["ipc"])), {})
            sets.setdefault(int(cell["seed"]), {})[int(score["seed"])] = top1
    return tops


def _shared(own: Mapping[tuple[str, int], Sets], random: Mapping[tuple[str, int], Sets]) -> dict[tuple[str, int], Sets]:
    """Return the row of random images.

    Where it has no students of its own, such as under a protocol that one method alone has, those beside the first row
    that has some stand for it.
    """
    found: dict[tuple[str, int], Sets] = {}
    for _, ipc in (*own, *random):
        key = (REFERENCE, ipc)
        sets = own.get(key) or next((sets for (_, at), sets in random.items() if at == ipc), None)
        if sets:
            found[key] = sets
    return found


def _differs(sets: Sets, shared: Sets) -> bool:
    """Tell whether students of the same seeds came out otherwise: the images are the same, so their labels are not."""
    return any(
        shared.get(seed, {}).get(student, top1) != top1
        for seed, students in sets.items()
        for student, top1 in students.items()
    )


def _of(figures: Mapping[tuple[str, int], Figure], row: str) -> dict[int, Figure]:
    """Return a row's figures by images per class."""
    return {ipc: figure for (name, ipc), figure in figures.items() if name == row}


def _figure(accuracies: Sets) -> Figure:
    """Return mean and spreads of accuracies."""
    sets = [list(students.values()) for students in accuracies.values()]
    several = [students for students in sets if len(students) > 1]
    freedom = sum(len(students) - 1 for students in several)
    within = sqrt(sum(variance(students) * (len(students) - 1) for students in several) / freedom) if freedom else None
    means = [fmean(students) for students in sets]
    return Figure(
        mean=fmean(means),
        within=within,
        between=stdev(means) if len(means) > 1 else None,
        sets=len(sets),
        students=sum(map(len, sets)),
    )


def _cost(cells: Sequence[Mapping[str, Any]], row: str, ipc: int) -> Cost | None:
    """Return the mean cost of a row's finished sets."""
    done = [cell for cell in cells if (cell["row"], cell["ipc"], cell["state"]) == (row, ipc, "finished")]
    if not done:
        return None
    making = [{stage: s for stage, s in cell["seconds"].items() if stage not in _JUDGING} for cell in done]
    peaks = [max((b for stage, b in cell["memory"].items() if stage not in _JUDGING), default=0) for cell in done]
    return Cost(
        seconds=fmean(sum(stages.values()) for stages in making),
        judging=fmean(sum(s for stage, s in cell["seconds"].items() if stage in _JUDGING) for cell in done),
        memory=max(peaks) or None,
        images=fmean(cell["bytes"].get("images", 0) for cell in done),
        labels=fmean(cell["bytes"].get("soft_labels", 0) for cell in done),
    )
