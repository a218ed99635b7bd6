"""Which K of a class's n points stand for it: the mathematics of coresets, on arrays alone.

It is not in `wmdd.ot`, whose atoms lie anywhere and have weights: here the answer is rows of the table, all of equal
weight. Ties go to the lowest row, so everything but the starts of k-means is a function of the points.

Shapes: `n` points, `D` features, `K` chosen rows, all different.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from wmdd import ot

Points = NDArray[np.float64]
Rows = NDArray[np.int64]


def unit_rows(points: Tensor) -> Points:
    """Return points `(n, D)` in float64, each divided by its Euclidean norm; a row of zeros stays what it is."""
    table = points.numpy().astype(np.float64)
    norms = np.linalg.norm(table, axis=1, keepdims=True)
    return table / np.where(norms > 0.0, norms, 1.0)


def herding(points: Points, count: int) -> Rows:
    """Return `count` rows in the order in which herding takes them (Welling, ICML 2009; iCaRL, CVPR 2017).

    The k-th is the row not taken yet that brings the mean of the first k nearest to the mean of all points:
    argmin_j ||mu - (S + z_j) / k||, S the sum of those before. So a longer choice begins with the shorter one.

    Args:
        points: `(n, D)`.
        count: K, at most n.
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


def k_center(points: Points, count: int) -> Rows:
    """Return `count` rows by farthest-first traversal, a 2-approximation of k-center (Gonzalez 1985).

    It begins with the row nearest to the mean; each further one is the row farthest from those that are taken. Here
    too a longer choice begins with the shorter one.

    Args:
        points: `(n, D)`.
        count: K, at most n.
    """
    chosen = [int(ot.squared_distances(points.mean(axis=0, keepdims=True), points)[0].argmin())]
    nearest = np.full(len(points), np.inf)
    while len(chosen) < count:
        nearest = np.minimum(nearest, ot.squared_distances(points[chosen[-1:]], points)[0])
        nearest[chosen] = -1.0  # below that of a row which is equal to one of them
        chosen.append(int(nearest.argmax()))
    return np.array(chosen)


def k_means(points: Points, count: int, seeds: Iterable[int]) -> Rows:
    """Return the `count` rows nearest to the centres of k-means, one for each centre, in the order of the centres.

    Of one run a seed the one of lowest cost is taken, the first of equals. Where two centres have the same nearest row,
    rows are assigned so that the sum of squared distances is least; else that is every centre's nearest row.

    Args:
        points: `(n, D)`.
        count: K, at most n.
        seeds: at least one.
    """
    best = min((ot.kmeans(ot.Problem.of(points, count, seed=seed)) for seed in seeds), key=lambda run: run.cost)
    _, rows = linear_sum_assignment(ot.squared_distances(best.atoms, points))
    return rows.astype(np.int64)
