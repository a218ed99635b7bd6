"""The share of the gap between floor and ceiling that a set fills: (set - floor) / (ceiling - floor).

The floor is as many random real images, the ceiling all real images, both under the set's protocol, with as many steps.
Numerator and denominator share the floor, so they are correlated, and the denominator may be close to 0: the interval
is Fieller's (1954), {θ : |set - (1 - θ) floor - θ ceiling| ≤ t · SE(θ)}, which is exact for normal means with one
variance estimate, and is bounded exactly where floor and ceiling differ beyond the same t.

Students of equal seeds are paired as far as there are such: see `wmdd.evaluation.contrasts`.
"""

import math
from dataclasses import dataclass

from wmdd.evaluation.contrasts import Contrasts
from wmdd.evaluation.differences import Difference, difference, t_quantile
from wmdd.evaluation.rows import Scores, sets_of

_UNKNOWN = "–"


@dataclass(frozen=True, slots=True, kw_only=True)
class GapShare:
    """The share of the gap between floor and ceiling that a set fills; all accuracies in per cent."""

    gain: Difference
    """Set above floor."""
    room: Difference
    """Ceiling above floor."""
    value: float | None
    """The share: 0 at the floor, 1 at the ceiling, below and above where the set is; None if these are not told apart,
    that is, unless the interval of `room` lies above 0."""
    interval: tuple[float, float] | None
    """Fieller's 95 % interval of the share; None where `value` is."""
    freedom: float
    """Degrees of freedom of its t: n - 1 of n triples; else Satterthwaite's for the parts of the variance of
    set - (1 - θ) floor - θ ceiling at the share θ that was found. 0 where no error is known."""

    @property
    def text(self) -> str:
        """`0.24 (0.10 to 0.38)`, or `–` where floor and ceiling cannot be told apart."""
        if self.value is None or self.interval is None:
            return _UNKNOWN
        low, high = map(_signed, self.interval)
        return f"{_signed(self.value)} ({low} to {high})"


def gap_share(scores: Scores, floor: Scores, ceiling: Scores) -> GapShare:
    """Return the share of the gap that a set fills, from scores under the same student, protocol and labels.

    Args:
        scores: scores of the set, or of several sets of one method.
        floor: those of as many random real images.
        ceiling: those of all real images.

    Raises:
        ValueError: one of the three has no score.
    """
    groups = [sets_of(group) for group in (scores, floor, ceiling)]
    if not all(groups):
        empty = [name for name, group in zip(("set", "floor", "ceiling"), groups, strict=True) if not group]
        raise ValueError(f"a share of the gap needs a score of set, floor and ceiling; got none of {', '.join(empty)}")
    gain, room = difference(groups[0], groups[1]), difference(groups[2], groups[1])
    contrasts = Contrasts.of(*groups)
    if contrasts is None or room.sign <= 0:
        return GapShare(gain=gain, room=room, value=None, interval=None, freedom=0)
    above, between = (1.0, -1.0, 0.0), (0.0, -1.0, 1.0)
    share = contrasts.value(above) / contrasts.value(between)
    freedom = contrasts.freedom((1, share - 1, -share))
    interval = fieller(
        contrasts.value(above),
        contrasts.value(between),
        variances=(contrasts.covariance(above, above), contrasts.covariance(between, between)),
        covariance=contrasts.covariance(above, between),
        quantile=t_quantile(freedom),
    )
    value = None if interval is None else share
    return GapShare(gain=gain, room=room, value=value, interval=interval, freedom=freedom)


def fieller(
    numerator: float, denominator: float, *, variances: tuple[float, float], covariance: float, quantile: float
) -> tuple[float, float] | None:
    """Return Fieller's interval of a ratio of two means.

    Its ends are the roots of (a - θ b)² = t² (s_aa - 2 θ s_ab + θ² s_bb), for a = `numerator` and b = `denominator`.

    Args:
        numerator: mean on top.
        denominator: mean below.
        variances: those of the two means.
        covariance: that of the two means.
        quantile: t, of the level and the degrees of freedom of the variances.

    Returns:
        The interval, or None where the denominator is not told apart from 0: the set of ratios is then unbounded.
    """
    square = quantile**2
    leading = denominator**2 - square * variances[1]
    if leading <= 0:
        return None
    middle = numerator * denominator - square * covariance
    last = numerator**2 - square * variances[0]
    root = math.sqrt(max(0.0, middle**2 - leading * last))  # below 0 by rounding only: the ratio itself fulfils it
    return (middle - root) / leading, (middle + root) / leading


def _signed(share: float) -> str:
    """Return a share with two digits and a typographic minus; never `−0.00`."""
    text = f"{share:.2f}".replace("-", "−")
    return "0.00" if text == "−0.00" else text
