"""k-means++: the points that barycenters start from."""

import numpy as np
from numpy.typing import NDArray

from wmdd.ot.compiled import compiled
from wmdd.ot.cost import Cloud, Float64, quick_distances

Positions = NDArray[np.int64]

_SEED_TRIALS = 16
"""Candidates for each seed."""
_SWAP_TRIALS = 8
"""Candidates for each of the K swaps."""
_WORTHWHILE = 1e-9
"""A swap must lower the potential by this fraction: less is rounding."""


def kmeans_plus_plus(points: Float64, num_atoms: int, generator: np.random.Generator) -> Float64:
    """Return K of the points as a start: greedy k-means++ (Arthur & Vassilvitskii 2007), then K rounds of local search.

    Every seed is the best of several drawn with probability proportional to the squared distance. A round of local
    search (Lattanzi & Sohler 2019) draws a few more points the same way and swaps one with the seed it best replaces,
    if that helps: a single start then seldom misses a cluster, which plain k-means++ often does.

    Args:
        points: `(n, D)`, with n ≥ K.
        num_atoms: K.
        generator: the only source of randomness.
    """
    cloud = Cloud.about(points.mean(axis=0), points)
    masses = np.full(len(points), 1.0 / len(points))
    return points[seed_positions(cloud, masses, num_atoms, generator)].copy()


def seed_positions(cloud: Cloud, masses: Float64, num_atoms: int, generator: np.random.Generator) -> Positions:
    """Return the positions of the seeds among points with masses `(n,)`."""
    points = cloud.points
    chosen = _greedy_seeds(cloud, masses, num_atoms, generator)
    if num_atoms == 1:
        return chosen
    distances = quick_distances(points[chosen], cloud)
    owner, nearest, second = _two_nearest(distances.T)
    for _ in range(num_atoms):
        candidates = _draw(nearest * masses, _SWAP_TRIALS, generator)
        offered = quick_distances(points[candidates], cloud)
        slot, best = _best_swap(offered.T, owner, nearest, second, masses)
        if slot >= 0:
            chosen[slot] = candidates[best]
            distances[slot] = offered[best]
            owner, nearest, second = _two_nearest(distances.T)
    return chosen


def _greedy_seeds(cloud: Cloud, masses: Float64, num_atoms: int, generator: np.random.Generator) -> Positions:
    """Return K different positions; each is the candidate that lowers the potential most."""
    points = cloud.points
    chosen = [int(generator.integers(len(points)))]
    potential = quick_distances(points[chosen], cloud)[0]  # (n,)
    while len(chosen) < num_atoms:
        if potential.max() > 0.0:
            candidates = _draw(potential * masses, _SEED_TRIALS, generator)
        else:  # fewer distinct points than atoms: any point not chosen yet will do
            candidates = np.setdiff1d(np.arange(len(points)), chosen)[:1]
        potentials = np.minimum(quick_distances(points[candidates], cloud), potential)
        best = int((potentials @ masses).argmin())
        chosen.append(int(candidates[best]))
        potential = potentials[best]
    return np.array(chosen)


def _draw(potential: Float64, count: int, generator: np.random.Generator) -> Positions:
    """Draw positions with probability proportional to `potential`, which is 0 at points already chosen."""
    cumulative = np.cumsum(potential)
    positions = np.searchsorted(cumulative, generator.random(count) * cumulative[-1], side="right")
    return np.minimum(positions, len(potential) - 1)


@compiled
def _two_nearest(distances: Float64) -> tuple[Positions, Float64, Float64]:
    """Return for every row of `(n, K)` the nearest atom, the distance to it, and that to the second."""
    num_points, num_atoms = distances.shape
    owner, nearest, second = np.empty(num_points, np.int64), np.empty(num_points), np.empty(num_points)
    for i in range(num_points):
        at, low, next_low = 0, np.inf, np.inf
        for j in range(num_atoms):
            value = distances[i, j]
            if value < low:
                at, low, next_low = j, value, low
            elif value < next_low:
                next_low = value
        owner[i], nearest[i], second[i] = at, low, next_low
    return owner, nearest, second


@compiled
def _best_swap(
    offered: Float64, owner: Positions, nearest: Float64, second: Float64, masses: Float64
) -> tuple[int, int]:
    """Return which atom (−1 if no swap helps) to replace by which candidate; `offered` is `(n, candidates)`."""
    num_points, num_offers = offered.shape
    kept = np.zeros(num_offers)  # potential if a candidate is added and nothing removed
    num_atoms = 0
    for i in range(num_points):
        num_atoms = max(num_atoms, owner[i] + 1)
    lost = np.zeros((num_atoms, num_offers))  # what the points of an atom add if it is removed
    total = 0.0
    for i in range(num_points):
        total += masses[i] * nearest[i]
        for candidate in range(num_offers):
            now = min(offered[i, candidate], nearest[i])
            kept[candidate] += masses[i] * now
            lost[owner[i], candidate] += masses[i] * (min(offered[i, candidate], second[i]) - now)
    slot, best, least = -1, 0, total * (1.0 - _WORTHWHILE)
    for j in range(lost.shape[0]):
        for candidate in range(num_offers):
            if kept[candidate] + lost[j, candidate] < least:
                slot, best, least = j, candidate, kept[candidate] + lost[j, candidate]
    return slot, best
