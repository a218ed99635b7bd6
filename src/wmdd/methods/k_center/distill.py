"""k-center: real images that leave no other image of the class far away (Gonzalez 1985)."""

import numpy as np

from wmdd import ot
from wmdd.methods.kits.coresets import Points, Rows, choosing, feature_coreset


def k_center(points: Points, count: int) -> Rows:
    """Return `count` rows by farthest-first traversal, a 2-approximation of k-center (Gonzalez 1985).

    It begins with the row nearest to the mean; each further one is the row farthest from those that are taken. Here
    too a longer choice begins with the shorter one.
    """
    chosen = [int(ot.squared_distances(points.mean(axis=0, keepdims=True), points)[0].argmin())]
    nearest = np.full(len(points), np.inf)
    while len(chosen) < count:
        nearest = np.minimum(nearest, ot.squared_distances(points[chosen[-1:]], points)[0])
        nearest[chosen] = -1.0  # below that of a row which is equal to one of them
        chosen.append(int(nearest.argmax()))
    return np.array(chosen)


K_CENTER = feature_coreset("k-center", k_center)
"""Takes `ipc` images of each class, in the order of `k_center`."""

ALGORITHM = choosing(K_CENTER)
