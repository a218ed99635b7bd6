"""From the cells of `bench.json` to comparable figures: means over sets, the spread between them, costs."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from wmdd.evaluation.comparison import Block, blocks
from wmdd.evaluation.real_names import CEILING_SET, FULL_DATA_SET, pool_multiple
from wmdd.evaluation.rows import BASELINE, Conditions, Row, Scores, conditions_of, number, summarise
from wmdd.methods.catalogue import title_of
from wmdd.pipeline.bench_file import read_bench as bench_file
from wmdd.report.collect import EVALUATION_STAGES
from wmdd.report.tables import set_title, tested

Cells = Sequence[Mapping[str, Any]]
"""The cells of `bench.json`."""
Setting = tuple[str, str, str, str]
"""Student, protocol, labels, digest of the teachers that label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Cost of a row at one number of images per class, mean over its sets."""

    seconds: float
    """To make the images, without the teacher that all rows share."""
    memory: float | None
    """Peak bytes while the images were made; None if not measured."""
    images: float
    """Bytes on disk."""
    labels: float
    """Bytes of soft labels on disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRow:
    """One row of a panel."""

    name: str
    accuracies: Mapping[int, Row]
    """By images per class."""

    @property
    def title(self) -> str:
        """The name as papers write it."""
        return set_title(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """Rows that may be compared: one student, protocol, kind of labels and teachers that label."""

    student: str
    protocol: str
    labels: str
    rows: tuple[BenchRow, ...]
    blocks: Mapping[int, Block]
    """What the rows are worth beside real images, pools of random ones among them, by images per class."""
    teachers_of: str = ""
    """Title of the row whose teachers label, where they are not those of most rows."""

    @property
    def title(self) -> str:
        """The conditions that the rows share."""
        teachers = f" of the teachers of {self.teachers_of}" if self.teachers_of else ""
        return f"{self.student}, protocol {self.protocol}, {self.labels} labels{teachers}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchWarning:
    """What is said of some sets."""

    text: str
    """As it was said first."""
    rows: Mapping[str, int]
    """Row → number of its sets of which it was said; empty = of all sets."""
    alike: bool
    """Whether it was said with the same figures everywhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """The results of a bench so far."""

    results: Mapping[str, Any]
    rows: tuple[str, ...]
    ipcs: tuple[int, ...]
    panels: tuple[Panel, ...]
    costs: Mapping[tuple[str, int], Cost]
    """By row and images per class."""
    full_data: Mapping[str, str]
    """Student → its accuracy on all real images, where requested."""
    failures: tuple[tuple[str, str], ...]
    """Name of a cell, and the line that says why it failed."""
    warnings: tuple[BenchWarning, ...]
    waiting: int
    """Number of cells still to be made."""


def read_bench(folder: Path) -> Bench:
    """Read a bench's results from its folder.

    Raises:
        ArtifactError: there are none, or they are damaged or of a newer schema.
    """
    return summary(bench_file(folder))


def summary(results: Mapping[str, Any]) -> Bench:
    """Return the bench that the contents of `bench.json` describe."""
    cells, images = results["cells"], tested(results)
    rows = tuple(row["name"] for row in results["rows"])
    ipcs = tuple(int(ipc) for ipc in results["ipcs"])
    return Bench(
        results=results,
        rows=rows,
        ipcs=ipcs,
        panels=tuple(_panels(cells, rows, images)),
        costs={(row, ipc): cost for row in rows for ipc in ipcs if (cost := _cost(cells, row, ipc)) is not None},
        full_data=_full_data(cells),
        failures=tuple(
            (f"{title_of(cell['row'])}, IPC {cell['ipc']}, seed {cell['seed']}", cell["error"])
            for cell in cells
            if cell["state"] == "failed"
        ),
        warnings=_warnings(cells),
        waiting=sum(cell["state"] == "waiting" for cell in cells),
    )


def _warnings(cells: Cells) -> tuple[BenchWarning, ...]:
    """Return each warning once, with its rows and numbers of sets; where only figures differ, it is the same one."""
    said: dict[str, list[tuple[int, str]]] = {}
    for place, cell in enumerate(cells):
        for text in (str(warning["text"]) for warning in cell.get("warnings") or ()):
            said.setdefault(_without_figures(text), []).append((place, text))
    sets = sum(cell["state"] == "finished" for cell in cells)

    def one(found: list[tuple[int, str]]) -> BenchWarning:
        rows = Counter(cells[place]["row"] for place in dict(found))
        texts = dict.fromkeys(text for _, text in found)
        return BenchWarning(text=next(iter(texts)), rows={} if rows.total() == sets else rows, alike=len(texts) == 1)

    return tuple(map(one, said.values()))


def _without_figures(text: str) -> str:
    """Return a sentence without its numbers; names with digits stay."""
    return re.sub(r"(?<!\w)[+−-]?\d+(?:[.,]\d+)*(?!\w)", "", text)


def _full_data(cells: Cells) -> dict[str, str]:
    scores = [score for cell in cells for score in cell["beside"] if score["set"] == FULL_DATA_SET]
    return {row.student: row.figure for row in summarise(scores)}


def _panels(cells: Cells, names: Sequence[str], images: int | None) -> Iterator[Panel]:
    own = _scores(cells, "scores")
    random = _borrowed(own, _scores(cells, "beside", of=BASELINE), as_set=BASELINE)
    ceiling = _borrowed((), _scores(cells, "beside", of=CEILING_SET), as_set=CEILING_SET)
    compared = [*own, *random, *ceiling, *_pools(cells)]
    found = blocks(compared, images)
    rows = [row for block in found for row in block.rows]
    shared = {row.labelled_by for row in summarise(score for score in own if score["set"] == BASELINE)}
    for setting in dict.fromkeys(map(_setting, rows)):
        accuracies = {name: _by_ipc(rows, setting, name) for name in (*names, CEILING_SET)}
        lines = [BenchRow(name=name, accuracies=by_ipc) for name, by_ipc in accuracies.items() if by_ipc]
        lenders = [line.title for line in lines if line.name not in {BASELINE, CEILING_SET}]
        student, protocol, labels, teachers = setting
        yield Panel(
            student=student,
            protocol=protocol,
            labels=labels,
            rows=tuple(lines),
            blocks={block.conditions.ipc: block for block in found if _setting(block.conditions) == setting},
            teachers_of="" if not shared or teachers in shared else ", ".join(lenders),
        )


def _setting(row: Row | Conditions) -> Setting:
    """Return what rows of a panel share, whatever the number of images per class."""
    return row.student, row.protocol, row.labels, row.labelled_by


def _scores(cells: Cells, kind: str, of: str | None = None) -> list[dict[str, Any]]:
    """Return the cells' scores of a kind (of the set `of` only, if given), under the names of their rows."""
    return [
        {**score, "set": cell["row"], "ipc": cell["ipc"], "distill_seed": cell["seed"]}
        for cell in cells
        for score in cell[kind]
        if number(score.get("top1")) is not None and of in {None, score["set"]}
    ]


def _pools(cells: Cells) -> list[dict[str, Any]]:
    """Return the scores of pools of random real images; they stand beside the row of random images."""
    return [
        {**score, "ipc": cell["ipc"], "distill_seed": cell["seed"]}
        for cell in cells
        if cell["row"] == BASELINE
        for score in cell["beside"]
        if pool_multiple(score["set"]) is not None
    ]


def _borrowed(own: Scores, beside: Scores, *, as_set: str) -> list[dict[str, Any]]:
    """Return scores of a reference for the blocks in which it has no row of its own.

    Random images have none under a protocol that only one method has; all real images have none anywhere. Those beside
    the first row with some are used.
    """
    complete = {conditions_of(score) for score in own if score["set"] == as_set}
    lenders: dict[Conditions, str] = {}
    for score in beside:
        lenders.setdefault(conditions_of(score), score["set"])
    lent = [score for score in beside if lenders[conditions_of(score)] == score["set"]]
    return [{**score, "set": as_set} for score in lent if conditions_of(score) not in complete]


def _by_ipc(rows: Sequence[Row], setting: Setting, name: str) -> dict[int, Row]:
    """Return the accuracies of a set under a setting, by images per class."""
    return {row.ipc: row for row in rows if row.set == name and _setting(row) == setting}


def _cost(cells: Cells, row: str, ipc: int) -> Cost | None:
    done = [cell for cell in cells if (cell["row"], cell["ipc"], cell["state"]) == (row, ipc, "finished")]
    if not done:
        return None
    return Cost(
        seconds=fmean(sum(_making(cell, "seconds")) for cell in done),
        memory=max((value for cell in done for value in _making(cell, "memory")), default=0) or None,
        images=fmean(cell["bytes"].get("images", 0) for cell in done),
        labels=fmean(cell["bytes"].get("soft_labels", 0) for cell in done),
    )


def _making(cell: Mapping[str, Any], amount: str) -> list[float]:
    return [value for stage, value in cell[amount].items() if stage not in EVALUATION_STAGES]
