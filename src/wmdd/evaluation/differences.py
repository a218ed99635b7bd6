"""How far two groups of students are apart, and how well that is known: paired by seeds, with Student's t.

Accuracies of the same seeds are compared with each other. What counts as one observation is a pair of *sets* of images,
since a claim about a method is one about sets that it has not made yet; only where there is a single pair of sets,
students are the observations, and the claim is about these sets alone. A spread that nobody has measured is never taken
for 0: with fewer than two observations there is no standard error and no claim.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance
from typing import Any

from wmdd.evaluation.rows import Students, set_means, units

CONFIDENCE = 0.95
"""Of every interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Points by which one group of students is above another, in per cent of the test images."""

    value: float
    """Mean difference; above 0 if the first group is higher."""
    error: float | None
    """Standard error of `value`; None where fewer than two observations were made of one side."""
    freedom: float
    """Degrees of freedom of the error: pairs - 1, or Welch and Satterthwaite's; 0 without an error."""
    paired: bool
    """Whether observations of equal seeds were compared with each other."""
    sets: int
    """Number of sets of images of the side that has fewer; with 1, the error is that over its students."""
    n: int
    """Number of pairs; unpaired, of observations of the side that has fewer."""

    @property
    def interval(self) -> tuple[float, float] | None:
        """Two-sided 95 % interval by Student's t; None without an error."""
        if self.error is None:
            return None
        half = t_quantile(self.freedom) * self.error
        return self.value - half, self.value + half

    @property
    def sign(self) -> int:
        """1 if the first group is higher, -1 if it is lower, 0 if the interval contains 0 or is not known."""
        interval = self.interval
        if interval is None or interval[0] <= 0 <= interval[1]:
            return 0
        return 1 if self.value > 0 else -1

    @property
    def text(self) -> str:
        """`+2.4 ± 0.5, 95 % interval +0.3 to +4.5 (3 pairs of sets)`; ± is the standard error."""
        interval = self.interval
        if interval is None or self.error is None:
            return f"{signed(self.value)} ({self.basis})"
        low, high = map(signed, interval)
        return f"{signed(self.value)} ± {self.error:.1f}, 95 % interval {low} to {high} ({self.basis})"

    @property
    def basis(self) -> str:
        """Say what the error rests on, such as `3 pairs of sets`."""
        if self.error is None:
            return "one student: no error known" if self.n == 1 else "no error known"
        if self.sets == 1:
            return f"{self.n} {'pairs of students' if self.paired else 'students'}, for this one set only"
        return f"{self.n} {'pairs of sets' if self.paired else 'sets, not paired'}"


def difference(first: Sequence[Students], second: Sequence[Students]) -> Difference:
    """Return how far the first group of sets is above the second one.

    In this order of preference: pairs of sets by `distill_seed`, within them of students by `seed`; both groups' sets,
    unpaired (Welch), if both have several; pairs of students, of single sets; students, unpaired.

    Raises:
        ValueError: one of the groups is empty.
    """
    of_sets, of_students = paired_sets(first, second), paired_students(first, second)
    if len(of_sets) < 2 <= min(len(first), len(second)):
        return _welch(set_means(first), set_means(second), sets=min(len(first), len(second)))
    if len(of_sets) > 1:
        return _paired(of_sets, sets=len(of_sets))
    if of_students:
        return _paired(of_students, sets=1)
    return _welch(units(first), units(second), sets=min(len(first), len(second)))


def paired_sets(*groups: Sequence[Students]) -> list[tuple[float, ...]]:
    """Return one tuple of means, a mean for each group, for each combination of sets that share a `distill_seed`.

    Within a shared `distill_seed`, the students are those whose `seed` all groups have, or all students if there is
    none. Seeds by which the same sets meet make one combination, for they are no further draws.
    """
    positions = [{seed: i for i, students in enumerate(sets) for seed, _ in students} for sets in groups]
    met: dict[tuple[int, ...], list[tuple[float, ...]]] = {}
    for seed in positions[0]:
        if all(seed in places for places in positions):
            combination = tuple(places[seed] for places in positions)
            chosen = [_of_seed(sets[at], seed) for sets, at in zip(groups, combination, strict=True)]
            common = set.intersection(*map(set, chosen))
            means = (
                fmean(top1 for own, top1 in students.items() if own in common or not common) for students in chosen
            )
            met.setdefault(combination, []).append(tuple(means))
    return [tuple(map(fmean, zip(*rows, strict=True))) for rows in met.values()]


def paired_students(*groups: Sequence[Students]) -> list[tuple[float, ...]]:
    """Return one tuple of accuracies, one of each group, for each pair of seeds that all groups have."""
    merged = [{seeds: top1 for students in sets for seeds, top1 in students.items()} for sets in groups]
    return [tuple(group[seeds] for group in merged) for seeds in merged[0] if all(seeds in group for group in merged)]


def t_quantile(freedom: float) -> float:
    """Return the quantile of Student's t for a two-sided 95 % interval."""
    from scipy.special import stdtrit  # noqa: PLC0415 - not needed to parse a command

    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2))


def satterthwaite(parts: Sequence[tuple[float, float]]) -> float:
    """Return the degrees of freedom of a sum of independent variances, given as (variance, degrees of freedom) each.

    (Σ v)² / Σ v² / f (Satterthwaite 1946; Welch 1947). If all variances are 0, the smallest of the parts' own.
    """
    # Divided by the largest, no square underflows.
    largest = max(variance for variance, _ in parts)
    if largest == 0:
        return min(freedom for _, freedom in parts)
    shares = [(variance / largest, freedom) for variance, freedom in parts]
    return sum(share for share, _ in shares) ** 2 / sum(share**2 / freedom for share, freedom in shares)


def signed(value: float) -> str:
    """Return `+2.4`, `−0.3` or `0.0`."""
    text = f"{value:+.1f}".replace("-", "−")
    return text if text.strip("+−") != "0.0" else "0.0"


def _of_seed(students: Students, seed: Any) -> dict[Any, float]:
    return {own: top1 for (of_set, own), top1 in students.items() if of_set == seed}


def _paired(pairs: Sequence[tuple[float, ...]], *, sets: int) -> Difference:
    values = [first - second for first, second in pairs]
    n = len(values)
    error = math.sqrt(variance(values) / n) if n > 1 else None
    return Difference(value=fmean(values), error=error, freedom=n - 1, paired=True, sets=sets, n=n)


def _welch(first: Sequence[float], second: Sequence[float], *, sets: int) -> Difference:
    value, n = fmean(first) - fmean(second), min(len(first), len(second))
    if n < 2:
        return Difference(value=value, error=None, freedom=0, paired=False, sets=sets, n=n)
    parts = [(variance(values) / len(values), len(values) - 1.0) for values in (first, second)]
    error = math.sqrt(sum(part for part, _ in parts))
    return Difference(value=value, error=error, freedom=satterthwaite(parts), paired=False, sets=sets, n=n)
