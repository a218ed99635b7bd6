"""The exchange rate of a set: how many random real images one of its images is worth, at the same number of steps.

The curve is the accuracy of r · IPC random real images a class against log r: the means of several draws, made
monotone (isotonic least squares, each mean weighted by its number of observations), and linear between the points. The
rate is the r at which the curve reaches the set's accuracy; beyond the ends of the curve it is only bounded.

The interval inverts a test: r is in it if the set's mean differs from the curve at r by at most t standard errors. That
error is found at each r as for any other difference: observations of equal seeds are paired, the points beside r with
the curve's own weights, so it holds the spread between the set's draws, between the real ones, and what they share.
Resampling the draws was not taken: of three draws there are ten different resamples, and their spread is too small by
a fifth on average.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from wmdd.evaluation.contrasts import Contrasts
from wmdd.evaluation.differences import t_quantile
from wmdd.evaluation.rows import Scores, Students, set_means, sets_of, units

_STEPS = 400
"""Places of the curve between two of its points at which the interval is sought: ends to 0.6 % from r = 1 to 10."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """Random real images of one number."""

    multiple: float
    """r: their number, as a multiple of the set's."""
    mean: float
    """Mean accuracy over the draws, in per cent."""
    level: float
    """Height of the monotone curve."""
    sets: tuple[Students, ...]
    """The students of each draw."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeRate:
    """Random real images that one image of a set is worth.

    A rate before the first point of the curve is 0.0, one past the last is infinite: only the bound is known then.
    """

    value: float
    interval: tuple[float, float] | None
    """95 % interval; None where the error is not known."""
    curve: tuple[CurvePoint, ...]
    """By rising multiples."""

    @property
    def text(self) -> str:
        """`3.2 (1.9 to 5.4)`, `> 10 (> 10)`, `1.3 (< 1 to 2.1)`; `3.2 (error not known)`."""
        if self.interval is None:
            return f"{self._bounded(self.value)} (error not known)"
        low, high = map(self._bounded, self.interval)
        return f"{self._bounded(self.value)} ({low if low == high else f'{low} to {high}'})"

    def _bounded(self, rate: float) -> str:
        if rate == 0:
            return f"< {self.curve[0].multiple:g}"
        return f"> {self.curve[-1].multiple:g}" if math.isinf(rate) else f"{rate:.1f}"


def exchange_rate(scores: Scores, random: Mapping[float, Scores]) -> ExchangeRate:
    """Return how many random real images one image of a set is worth.

    Args:
        scores: scores of the set, or of several sets of one method, under one student, protocol and kind of labels.
        random: scores of random real images at the same number of steps, by their number as a multiple of the set's;
            at least two multiples above 0.

    Raises:
        ValueError: no score, fewer than two multiples, or one that is not above 0.
    """
    sets = sets_of(scores)
    points = curve(random)
    if not sets:
        raise ValueError("an exchange rate needs the accuracy of a set; got no score")
    return ExchangeRate(value=_rate(fmean(set_means(sets)), points), interval=_interval(sets, points), curve=points)


def curve(random: Mapping[float, Scores]) -> tuple[CurvePoint, ...]:
    """Return the monotone curve through the accuracies of random real images, by rising multiples.

    Raises:
        ValueError: fewer than two multiples have scores, or one is not above 0.
    """
    from scipy.optimize import isotonic_regression  # noqa: PLC0415 - slow to import

    found = {multiple: sets for multiple in sorted(random) if (sets := sets_of(random[multiple]))}
    if len(found) < 2 or min(found) <= 0:
        raise ValueError(f"a curve needs two multiples above 0 with scores; got {sorted(found)}")
    means = [fmean(set_means(sets)) for sets in found.values()]
    levels = isotonic_regression(means, weights=[len(units(sets)) for sets in found.values()]).x
    return tuple(
        CurvePoint(multiple=multiple, mean=mean, level=float(level), sets=sets)
        for (multiple, sets), mean, level in zip(found.items(), means, levels, strict=True)
    )


def _rate(accuracy: float, points: Sequence[CurvePoint]) -> float:
    """Return the smallest multiple at which the curve reaches an accuracy."""
    if accuracy < points[0].level:
        return 0.0
    if accuracy > points[-1].level:
        return math.inf
    at = next(i for i, point in enumerate(points) if point.level >= accuracy)
    if at == 0:
        return points[0].multiple
    before, after = points[at - 1], points[at]
    return _place(before, after, (accuracy - before.level) / (after.level - before.level))


def _place(before: CurvePoint, after: CurvePoint, share: float) -> float:
    """Return the multiple at a share of the way between two points, exactly theirs at 0 and 1."""
    return after.multiple if share == 1 else before.multiple * (after.multiple / before.multiple) ** share


def _interval(sets: Sequence[Students], points: Sequence[CurvePoint]) -> tuple[float, float] | None:
    """Return the smallest and the largest multiple at which set and curve cannot be told apart."""
    accuracy = fmean(set_means(sets))
    accepted = [_rate(accuracy, points)]
    for before, after in zip(points, points[1:], strict=False):
        contrasts = Contrasts.of(sets, before.sets, after.sets)
        if contrasts is None:
            return None
        for step in range(_STEPS + 1):
            share = step / _STEPS
            weights = (1.0, share - 1, -share)
            gap = accuracy - (1 - share) * before.level - share * after.level
            if abs(gap) <= t_quantile(contrasts.freedom(weights)) * contrasts.error(weights):
                accepted.append(_place(before, after, share))
    # What the first point does not exclude may lie before it, and what the last does not exclude, past it.
    low, high = min(accepted), max(accepted)
    return 0.0 if low <= points[0].multiple else low, math.inf if high >= points[-1].multiple else high
