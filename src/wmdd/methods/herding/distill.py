"""Herding: real images whose mean feature follows the class's own (Welling, ICML 2009)."""

import numpy as np

from wmdd.methods.kits.coresets import Points, Rows, choosing, feature_coreset


def herding(points: Points, count: int) -> Rows:
    """Return `count` rows in the order in which herding takes them (Welling, ICML 2009; iCaRL, CVPR 2017).

    The k-th is the row not taken yet that brings the mean of the first k nearest to the mean of all points:
    argmin_j ||mu - (S + z_j) / k||, S the sum of those before. So a longer choice begins with the shorter one.
    """
    mean, norms = points.mean(axis=0), np.square(points).sum(axis=1)
    wanted = np.zeros_like(mean)
    chosen: list[int] = []
    for _ in range(count):
        wanted += mean  # k mu - S: the row that would make the mean exact
        distances = norms - 2.0 * (points @ wanted)
        distances[chosen] = np.inf
        chosen.append(int(distances.argmin()))
        wanted -= points[chosen[-1]]
    return np.array(chosen)


HERDING = feature_coreset("herding", herding)
"""Takes `ipc` images of each class, in the order of `herding`."""

ALGORITHM = choosing(HERDING)
