"""From scores to comparable figures: means, spreads within and between sets, the gap to random images.

A score is a row of `evaluations` in `metrics.json`, or of a cell in `bench.json`. One aggregation serves both: a run is
a bench of one set. Free of torch.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev, variance
from typing import Any, NamedTuple

from wmdd.evaluation.proportion import wilson
from wmdd.evaluation.protocols import is_pool

BASELINE = "random"
"""The set that all others are compared with: as many random real images."""
Scores = Iterable[Mapping[str, Any]]


class Conditions(NamedTuple):
    """What two sets must have in common to be compared."""

    ipc: int
    student: str
    protocol: str
    labels: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Top-1 accuracy, in per cent after the last epoch, of students that differ only in their seeds."""

    set: str
    ipc: int
    student: str
    protocol: str
    labels: str
    mean: float
    """Mean of the sets' means."""
    std: float | None
    """Sample standard deviation (ddof = 1) of one set's students, pooled over the sets; None for single students."""
    between: float | None
    """Sample standard deviation of the sets' means; None for a single set."""
    n: int
    """Number of students, all sets together."""
    top5: float | None
    best: float | None
    """Mean of `top1_best`; shown, but never used."""
    seen: float | None = None
    """Images that a student was shown in training, mean over the students; 0 or None if not known."""
    tested: int | None = None
    """Number of test images, the same ones for every row; None if not known."""
    highest: bool = False
    """Whether no other set of its block has a higher mean."""
    ahead: bool = False
    """Whether it is clearly above every other set of its block: see `Comparison.winner`."""

    @property
    def conditions(self) -> Conditions:
        """The conditions that comparable rows share."""
        return Conditions(self.ipc, self.student, self.protocol, self.labels)

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's 95 % interval of one student's accuracy in per cent; None if the test images were not counted."""
        if not self.tested or not 0 <= self.mean <= 100:
            return None
        low, high = wilson(self.mean / 100, self.tested)
        return 100 * low, 100 * high

    @property
    def text(self) -> str:
        """The mean with the students' spread, followed in brackets by the spread between sets, if several."""
        text = plus_minus(self.mean, self.std)
        return text if self.between is None else f"{text} (± {self.between:.1f})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Comparable rows."""

    conditions: Conditions
    rows: tuple[Row, ...]
    """Random images after the others, then pools of real images."""

    @property
    def baseline(self) -> Row | None:
        """Random real images under the same conditions."""
        return next((row for row in self.rows if row.set == BASELINE), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A row against random images, or against any other row of its block."""

    row: Row
    baseline: Row | None

    @property
    def gap(self) -> float | None:
        """Points by which the row exceeds the baseline; None without one."""
        return None if self.baseline is None else self.row.mean - self.baseline.mean

    @property
    def spread(self) -> float | None:
        """Sum of the two standard deviations; None if one of them is unknown."""
        if self.baseline is None or self.row.std is None or self.baseline.std is None:
            return None
        return self.row.std + self.baseline.std

    def behind(self, tested: int) -> bool:
        """Tell whether the row is below the baseline by more than the noise.

        Noise is the spread, where it is known, but at least twice the standard error of the difference of two shares
        that are each counted on `tested` test images.
        """
        if self.baseline is None or self.gap is None:
            return False
        shares = [row.mean / 100 for row in (self.row, self.baseline)]
        error = 100 * math.sqrt(sum(share * (1 - share) for share in shares) / tested)
        return -self.gap > max(self.spread or 0.0, 2 * error)

    @property
    def noise(self) -> float | None:
        """Points by which two equally good students may differ on these test images; None if they were not counted.

        Newcombe's interval of a difference (1998, method 10), which is that of accuracies on two samples. On the same
        images, as here, the interval is narrower as far as the students err on the same ones.
        """
        if self.baseline is None:
            return None
        lower, upper = sorted((self.row, self.baseline), key=lambda row: row.mean)
        of_lower, of_upper = lower.interval, upper.interval
        if of_lower is None or of_upper is None:
            return None
        return math.hypot(upper.mean - of_upper[0], of_lower[1] - lower.mean)

    @property
    def winner(self) -> int:
        """1 if the row is clearly higher, -1 if the baseline is, 0 if they are not separated.

        Clear is a gap beyond both the spread over seeds and, where the test images were counted, their noise.
        """
        if self.gap is None or self.spread is None or abs(self.gap) <= max(self.spread, self.noise or 0.0):
            return 0
        return 1 if self.gap > 0 else -1


def summarise(scores: Scores, tested: int | None = None) -> list[Row]:
    """Return one row for each set and conditions, in stored order, not yet compared with others.

    `tested` is the number of test images, where it is known. If a student (its own seed and that of its set) was
    evaluated twice, the last score counts; a score without a finite `top1` does not count.
    """
    groups: dict[tuple[str, Conditions], dict[Any, dict[Any, Mapping[str, Any]]]] = {}
    for score in scores:
        if number(score.get("top1")) is not None:
            sets = groups.setdefault((str(score.get("set", "")), conditions_of(score)), {})
            students = sets.setdefault(score.get("distill_seed"), {})
            students[score.get("seed", len(students))] = score
    rows = [_row(*key, [list(students.values()) for students in sets.values()]) for key, sets in groups.items()]
    return [replace(row, tested=tested) for row in rows]


def blocks(scores: Scores, tested: int | None = None) -> list[Block]:
    """Return blocks of comparable rows in stored order, with the highest row and the one clearly ahead marked."""
    groups: dict[Conditions, list[Row]] = {}
    for row in summarise(scores, tested):
        groups.setdefault(row.conditions, []).append(row)
    return [Block(conditions=conditions, rows=_marked(rows)) for conditions, rows in groups.items()]


def comparisons(blocks_of_run: Sequence[Block], method: object) -> list[Comparison]:
    """Return a method's rows against random images, one for each block where it was evaluated; none if it is random.

    If the method was not evaluated, those of the first that was; pools of real images are no method's.
    """
    if method == BASELINE:
        return []
    pairs = [Comparison(row=row, baseline=block.baseline) for block in blocks_of_run for row in block.rows]
    names = dict.fromkeys(pair.row.set for pair in pairs if pair.row.set != BASELINE and not is_pool(pair.row.set))
    name = method if method in names else next(iter(names), None)
    return [pair for pair in pairs if pair.row.set == name]


def conditions_of(score: Mapping[str, Any]) -> Conditions:
    """Return the conditions of a score; missing ones are empty or 0."""
    student, protocol, labels = (str(score.get(name, "")) for name in ("student", "protocol", "labels"))
    return Conditions(int(number(score.get("ipc")) or 0), student, protocol, labels)


def number(value: object) -> float | None:
    """Return a finite number as float, and None for anything else (NaN, text, booleans, None).

    Beyond 1e100 it is damage, and neither squares nor axes of plots could hold it.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1e100 < value < 1e100:
        return None
    return float(value)


def plus_minus(mean: float, std: float | None) -> str:
    """Return `78.2 ± 1.1`, or the mean alone where there is no spread."""
    return f"{mean:.1f}" if std is None else f"{mean:.1f} ± {std:.1f}"


def _row(name: str, conditions: Conditions, sets: Sequence[Sequence[Mapping[str, Any]]]) -> Row:
    accuracies = [[float(score["top1"]) for score in students] for students in sets]
    means = [fmean(students) for students in accuracies]
    return Row(
        set=name,
        **conditions._asdict(),
        mean=fmean(means),
        std=_pooled(accuracies),
        between=stdev(means) if len(means) > 1 else None,
        n=sum(map(len, sets)),
        top5=_mean(sets, "top5"),
        best=_mean(sets, "top1_best"),
        seen=_mean(sets, "seen"),
    )


def _pooled(sets: Sequence[Sequence[float]]) -> float | None:
    """Return the standard deviation within sets, each variance weighted by its degrees of freedom."""
    several = [students for students in sets if len(students) > 1]
    if not several:
        return None
    return math.sqrt(fmean(map(variance, several), weights=[len(students) - 1 for students in several]))


def _mean(sets: Sequence[Sequence[Mapping[str, Any]]], column: str) -> float | None:
    values = [value for students in sets for score in students if (value := number(score.get(column))) is not None]
    return fmean(values) if values else None


def _marked(rows: Sequence[Row]) -> tuple[Row, ...]:
    sets = [row for row in rows if not is_pool(row.set)]
    top = max(sets, key=lambda row: row.mean, default=None)
    others = [Comparison(row=top, baseline=row) for row in sets if top is not None and row is not top]
    ahead = bool(others) and all(other.winner == 1 for other in others)
    marked = [
        row
        if top is None or is_pool(row.set)
        else replace(row, highest=row.mean == top.mean, ahead=ahead and row is top)
        for row in rows
    ]
    return tuple(sorted(marked, key=lambda row: (is_pool(row.set), row.set == BASELINE)))
