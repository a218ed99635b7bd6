"""The error of a weighted sum of the means of three groups of students, some of them paired by seeds.

Shares of a gap and exchange rates are found where such a sum, of a set and of two references, is 0.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import covariance, fmean

from wmdd.evaluation.differences import paired_sets, paired_students, satterthwaite
from wmdd.evaluation.rows import Students, units

Weights = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class _Part:
    """Means that were estimated together, from observations of all its groups; independent of other parts."""

    groups: tuple[int, ...]
    means: tuple[float, ...]
    covariances: tuple[tuple[float, ...], ...]
    """Of the means."""
    freedom: int
    """Number of observations - 1."""

    def covariance(self, first: Weights, second: Weights) -> float:
        return sum(
            first[one] * second[other] * self.covariances[i][j]
            for i, one in enumerate(self.groups)
            for j, other in enumerate(self.groups)
        )


@dataclass(frozen=True, slots=True)
class Contrasts:
    """Weighted sums of the means of three groups."""

    parts: tuple[_Part, ...]

    @classmethod
    def of(cls, *groups: Sequence[Students]) -> "Contrasts | None":
        """Return the sums that three groups allow, or None if the error of one of them is not known.

        Observations are sets, or the students of single sets. Those of equal seeds are paired as in
        `wmdd.evaluation.differences`: of all three groups if there are two such triples or more, else of the first two,
        with the third one independent of them, else of none.
        """
        for joint in ((0, 1, 2), (0, 1)):
            chosen = [groups[number] for number in joint]
            pairs = paired_sets(*chosen)
            if len(pairs) < 2 and max(map(len, chosen)) == 1:
                pairs = paired_students(*chosen)
            if len(pairs) > 1:
                alone = [number for number in range(3) if number not in joint]
                return cls._known(_part(joint, pairs), *(_single(groups, number) for number in alone))
        return cls._known(*(_single(groups, number) for number in range(3)))

    @classmethod
    def _known(cls, *parts: _Part | None) -> "Contrasts | None":
        known = tuple(part for part in parts if part is not None)
        return cls(known) if len(known) == len(parts) else None

    def value(self, weights: Weights) -> float:
        """Return the weighted sum of the means."""
        return sum(
            weights[group] * mean for part in self.parts for group, mean in zip(part.groups, part.means, strict=True)
        )

    def covariance(self, first: Weights, second: Weights) -> float:
        """Return the covariance of two sums; of one with itself, the square of its standard error."""
        return sum(part.covariance(first, second) for part in self.parts)

    def error(self, weights: Weights) -> float:
        """Return the standard error of a sum."""
        return math.sqrt(max(0.0, self.covariance(weights, weights)))  # below 0 by rounding only

    def freedom(self, weights: Weights) -> float:
        """Return the degrees of freedom of its error: n - 1 of n triples, else Satterthwaite's for the parts."""
        return satterthwaite([(max(0.0, part.covariance(weights, weights)), part.freedom) for part in self.parts])


def _single(groups: Sequence[Sequence[Students]], number: int) -> _Part | None:
    values = units(groups[number])
    return _part((number,), [(value,) for value in values]) if len(values) > 1 else None


def _part(groups: tuple[int, ...], observations: Sequence[tuple[float, ...]]) -> _Part:
    n, values = len(observations), list(zip(*observations, strict=True))
    return _Part(
        groups,
        tuple(map(fmean, values)),
        tuple(tuple(covariance(one, other) / n for other in values) for one in values),
        n - 1,
    )
