"""From scores to rows: the mean over sets of images, the spread between them, and how many sets and students.

A score is a row of `evaluations` in `metrics.json`, or of a cell in `bench.json`. One aggregation serves both: a run is
a bench of one set. Free of torch.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any, NamedTuple

from wmdd.evaluation.proportion import wilson

BASELINE = "random"
"""The set that all others are compared with: as many random real images."""
Scores = Iterable[Mapping[str, Any]]
Students = Mapping[tuple[Any, Any], float]
"""Accuracy in per cent of each student of one set of images, by the seeds of its set and its own."""


class Conditions(NamedTuple):
    """What two sets must have in common to be compared."""

    ipc: int
    student: str
    protocol: str
    """Its name, followed by what the student's rules depart in: `"wmdd, 60 epochs, whole views"`."""
    labels: str
    fingerprint: str = ""
    """Of the student's rules; empty in files of older versions."""
    labelled_by: str = ""
    """Digest of the teachers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Top-1 accuracy, in per cent after the last epoch, of students that differ in their seeds and their sets'."""

    set: str
    ipc: int
    student: str
    protocol: str
    labels: str
    fingerprint: str = ""
    labelled_by: str = ""
    sets: tuple[Students, ...]
    """The students of each set of images, at least one in each."""
    top5: float | None
    best: float | None
    """Mean of `top1_best`; shown, but never used."""
    seen: float | None = None
    """Images that a student was shown in training, mean over the students; 0 or None if not known."""
    tested: int | None = None
    """Number of test images, the same ones for every row; None if not known."""
    level: bool = False
    """Whether it cannot be told from the highest row of its block: see `wmdd.evaluation.comparison`."""

    @property
    def conditions(self) -> Conditions:
        """The conditions that comparable rows share."""
        return Conditions(*(getattr(self, name) for name in Conditions._fields))

    @property
    def mean(self) -> float:
        """Mean of the sets' means."""
        return fmean(set_means(self.sets))

    @property
    def spread(self) -> float | None:
        """Sample standard deviation (ddof = 1) between the sets' means; with one set, of its students; None for one."""
        values = units(self.sets)
        return stdev(values) if len(values) > 1 else None

    @property
    def n(self) -> int:
        """Number of students, all sets together."""
        return sum(map(len, self.sets))

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's 95 % interval of one student's accuracy in per cent; None if the test images were not counted."""
        if not self.tested or not 0 <= self.mean <= 100:
            return None
        low, high = wilson(self.mean / 100, self.tested)
        return 100 * low, 100 * high

    @property
    def figure(self) -> str:
        """`60.2 ± 0.4`: the mean and the spread, or the mean alone."""
        return f"{self.mean:.1f}" if self.spread is None else f"{self.mean:.1f} ± {self.spread:.1f}"

    @property
    def counts(self) -> str:
        """`3 × 3`: the number of sets, and of students of each; `3 × 2–3` where it differs."""
        fewest, most = min(map(len, self.sets)), max(map(len, self.sets))
        return f"{len(self.sets)} × {fewest}" + (f"–{most}" if most > fewest else "")

    @property
    def text(self) -> str:
        """`60.2 ± 0.4 (3 × 3)`, for tables."""
        return f"{self.figure} ({self.counts})"

    @property
    def words(self) -> str:
        """`60.2 ± 0.4 % (3 sets of 3 students)`, for sentences."""
        sets, _, students = self.counts.partition(" × ")
        return f"{self.figure} % ({counted(int(sets), 'set')} of {students} student{'' if students == '1' else 's'})"


def counted(number: int, noun: str) -> str:
    """Return `one set` or `3 sets`."""
    return f"one {noun}" if number == 1 else f"{number:,} {noun}s"


def set_means(sets: Sequence[Students]) -> list[float]:
    """Return the mean accuracy of each set's students."""
    return [fmean(students.values()) for students in sets]


def units(sets: Sequence[Students]) -> list[float]:
    """Return the values whose spread says how well the mean is known: the sets' means, or the students of a single set.

    Students of one set are no independent draws of a set; where there are several sets, only these are.
    """
    return set_means(sets) if len(sets) > 1 else [top1 for students in sets for top1 in students.values()]


def summarise(scores: Scores, tested: int | None = None) -> list[Row]:
    """Return one row for each set's name and conditions, in stored order, not yet compared with others.

    `tested` is the number of test images, where it is known. If a student (its own seed and that of its set) was
    evaluated twice, the last score counts; a score without a finite `top1` does not count.
    """
    return [_row(*key, group, tested) for key, group in grouped(scores).items()]


def grouped(scores: Scores) -> dict[tuple[str, Conditions], list[Mapping[str, Any]]]:
    """Return the scores with a finite `top1` by their set's name and conditions, in stored order."""
    groups: dict[tuple[str, Conditions], list[Mapping[str, Any]]] = {}
    for score in scores:
        if number(score.get("top1")) is not None:
            groups.setdefault((str(score.get("set", "")), conditions_of(score)), []).append(score)
    return groups


def sets_of(scores: Scores) -> tuple[Students, ...]:
    """Return the students of each set of images in stored order, of scores under the same conditions.

    Scores with the same digest `images` are of one set, whatever their `distill_seed`: a method without randomness
    makes one set from all seeds. Where the digest is unknown, each `distill_seed` is a set. A score without a finite
    `top1` does not count; of two scores of one student, the last counts.
    """
    return tuple(
        {student: float(score["top1"]) for student, score in students.items()} for students in _students(scores)
    )


def _students(scores: Scores) -> list[dict[tuple[Any, Any], Mapping[str, Any]]]:
    found = [score for score in scores if number(score.get("top1")) is not None]
    digests = {score.get("distill_seed"): score["images"] for score in found if score.get("images")}
    sets: dict[Any, dict[tuple[Any, Any], Mapping[str, Any]]] = {}
    for score in found:
        seed = score.get("distill_seed")
        digest = score.get("images") or digests.get(seed)
        students = sets.setdefault(("seed", seed) if digest is None else ("images", digest), {})
        students[seed, score.get("seed", len(students))] = score
    return list(sets.values())


def conditions_of(score: Mapping[str, Any]) -> Conditions:
    """Return the conditions of a score; missing ones are empty or 0."""
    words = {name: str(score.get(name) or "") for name in (*Conditions._fields[1:], "departs")}
    departs = words.pop("departs")
    words["protocol"] += f", {departs}" if departs else ""
    return Conditions(ipc=int(number(score.get("ipc")) or 0), **words)


def number(value: object) -> float | None:
    """Return a finite number as float, and None for anything else (NaN, text, booleans, None).

    Beyond 1e100 it is damage, and neither squares nor axes of plots could hold it.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1e100 < value < 1e100:
        return None
    return float(value)


def _row(name: str, conditions: Conditions, scores: Scores, tested: int | None) -> Row:
    sets = _students(scores)
    counted_once = [score for students in sets for score in students.values()]
    return Row(
        set=name,
        **conditions._asdict(),
        sets=sets_of(counted_once),
        top5=_mean(counted_once, "top5"),
        best=_mean(counted_once, "top1_best"),
        seen=_mean(counted_once, "seen"),
        tested=tested,
    )


def _mean(scores: Scores, column: str) -> float | None:
    values = [value for score in scores if (value := number(score.get(column))) is not None]
    return fmean(values) if values else None
