"""The margin of a pattern: images that the teacher is unsure of, but not those that it is least sure of.

Entropies of the most uncertain images are taken for a mixture of two normal distributions: those that are hard, and
those beyond, which may be wrong. The margin reaches from the lower mean to where the second density overtakes the first
one. As in BPS's code, but for that point: there the ratio of the deviations is upside down.
"""

import math

import numpy as np
from numpy.typing import NDArray

from wmdd.methods.kits.coresets import Rows

Entropies = NDArray[np.float64]
FEW = 10
"""Fewer images than this have no mixture: the most uncertain ones are taken; and it is fitted to this many at least."""


def margin_rows(entropies: Entropies, count: int, *, share: float, seed: int) -> Rows:
    """Return `count` of n >= count rows: the least uncertain of the margin, then those below it from its edge down.

    What is still missing are the most uncertain ones of all. Ties go to the lower row.

    Args:
        entropies: `(n,)`.
        count: of rows.
        share: of the rows, the most uncertain, to which the mixture is fitted.
        seed: of the fit.
    """
    rising = np.argsort(entropies, kind="stable")
    falling = np.argsort(-entropies, kind="stable")
    if len(entropies) < FEW or count == 0:
        return falling[:count].astype(np.int64)
    fitted = int(max(share * len(entropies), FEW))
    lower, upper = margin_bounds(entropies[falling[:fitted]], seed)
    within = [row for row in rising if lower <= entropies[row] <= upper]
    below = [row for row in falling if entropies[row] < lower]
    beyond = [row for row in falling if entropies[row] > upper]
    return np.array([*within, *below, *beyond][:count], dtype=np.int64)


def margin_bounds(entropies: Entropies, seed: int) -> tuple[float, float]:
    """Return the lower mean of a mixture of two normal distributions, and where the upper one overtakes it.

    Infinity where it does so nowhere between the means; the smallest entropy and infinity where all are equal.
    """
    from sklearn.mixture import GaussianMixture  # noqa: PLC0415 - slow to import, needed here alone

    if np.ptp(entropies) == 0:
        return float(entropies[0]), math.inf
    found = GaussianMixture(n_components=2, random_state=seed % 2**32).fit(entropies[:, None])
    means, variances, weights = (
        np.asarray(part, dtype=np.float64).ravel() for part in (found.means_, found.covariances_, found.weights_)
    )
    first, second = np.argsort(means)
    return float(means[first]), crossing(means[[first, second]], variances[[first, second]], weights[[first, second]])


def crossing(means: Entropies, variances: Entropies, weights: Entropies) -> float:
    """Return the lowest point between two rising means at which the weighted normal densities agree; else infinity."""
    (low, high), (narrow, wide), (one, other) = means, variances, weights
    roots = np.roots(
        [
            1 / (2 * wide) - 1 / (2 * narrow),
            low / narrow - high / wide,
            high**2 / (2 * wide) - low**2 / (2 * narrow) + math.log(one / other * math.sqrt(wide / narrow)),
        ]
    )
    between = [float(root.real) for root in roots if root.imag == 0 and low < root.real < high]
    return min(between, default=math.inf)
