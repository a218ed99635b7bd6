"""k-means: the seeding that barycenters start from, the move of atoms that all variants share, and Lloyd's iteration.

For a single measure the barycenter with free weights *is* k-means (each point goes to its nearest atom and the
weights are the shares), so Lloyd serves both as the `exact` variant and as the floor that other results are compared
with. Shapes: `K` atoms, `n` points, `D` features.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wmdd.ot._cost import Float64, squared_distances

Positions = NDArray[np.intp]

_SEED_TRIALS = 16
"""Candidates a seed is chosen from."""
_SWAP_TRIALS = 8
"""Candidates a swap is chosen from; there are K rounds of swaps."""
EMPTY = 1e-6
"""An atom with less mass than this fraction of one point's counts as empty."""


def kmeans_plus_plus(points: Float64, num_atoms: int, generator: np.random.Generator) -> Float64:
    """Return K of the points as a start: greedy k-means++ (Arthur & Vassilvitskii 2007), then K rounds of local search.

    Every seed is the best of several drawn with probability proportional to the squared distance. A round of local
    search (Lattanzi & Sohler 2019) draws a few more points the same way and swaps one with the seed it best replaces,
    if that helps: a single start then seldom misses a cluster, where plain k-means++ does so often. A function of
    points and generator alone.

    Args:
        points: `(n, D)`, `n ≥ num_atoms`.
        num_atoms: K.
        generator: the source of randomness.
    """
    chosen = _greedy_seeds(points, num_atoms, generator)
    distances = squared_distances(points[chosen], points)  # (K, n)
    for _ in range(num_atoms if num_atoms > 1 else 0):
        candidates = _draw(distances.min(axis=0), _SWAP_TRIALS, generator)
        offered = squared_distances(points[candidates], points)  # (trials, n)
        slot, best = _best_swap(distances, offered)
        if slot is not None:
            chosen[slot] = candidates[best]
            distances[slot] = offered[best]
    return points[chosen].copy()


def _greedy_seeds(points: Float64, num_atoms: int, generator: np.random.Generator) -> Positions:
    """Return K different positions; each is the candidate that lowers the potential most."""
    chosen = [int(generator.integers(len(points)))]
    potential = squared_distances(points[chosen], points)[0]  # (n,)
    while len(chosen) < num_atoms:
        if potential.max() > 0.0:
            candidates = _draw(potential, _SEED_TRIALS, generator)
        else:  # fewer different points than atoms: any point not taken yet will do
            candidates = np.setdiff1d(np.arange(len(points)), chosen)[:1]
        potentials = np.minimum(squared_distances(points[candidates], points), potential)
        best = int(potentials.sum(axis=1).argmin())
        chosen.append(int(candidates[best]))
        potential = potentials[best]
    return np.array(chosen)


def _draw(potential: Float64, count: int, generator: np.random.Generator) -> Positions:
    """Draw positions with probability proportional to `potential`, which is 0 at points that are taken."""
    cumulative = np.cumsum(potential)
    positions = np.searchsorted(cumulative, generator.random(count) * cumulative[-1], side="right")
    return np.minimum(positions, len(potential) - 1)


def _best_swap(distances: Float64, candidates: Float64) -> tuple[int | None, int]:
    """Return which atom (None if no swap helps) to replace by which candidate.

    Args:
        distances: `(K, n)` from the atoms.
        candidates: `(trials, n)` from the candidates.
    """
    order = np.argpartition(distances, 1, axis=0)[:2]
    two = np.take_along_axis(distances, order, axis=0)
    owner = np.where(two[0] <= two[1], order[0], order[1])
    nearest, second = two.min(axis=0), two.max(axis=0)
    kept = np.minimum(candidates, nearest)  # potential if a candidate is added and nothing removed
    lost = np.minimum(candidates, second) - kept  # what a point adds if its owner is removed
    totals = np.stack([k.sum() + np.bincount(owner, row, len(distances)) for k, row in zip(kept, lost, strict=True)])
    best, slot = np.unravel_index(totals.argmin(), totals.shape)
    if totals[best, slot] < nearest.sum() * (1.0 - 1e-9):
        return int(slot), int(best)
    return None, int(best)


def voronoi(distances: Float64) -> Float64:
    """Return the plan `(K, n)` that sends every point's mass 1/n to its nearest atom: the best if weights are free."""
    plan = np.zeros_like(distances)
    columns = np.arange(distances.shape[1])
    plan[distances.argmin(axis=0), columns] = 1.0 / distances.shape[1]
    return plan


def move_atoms(points: Float64, atoms: Float64, plan: Float64, distances: Float64) -> tuple[Float64, Float64]:
    """Return atoms and weights after the one-step Newton update for a fixed plan.

    `b_j ← b_j − (1/w_j) Σ_i t_ji (b_j − x_i)`: the objective is quadratic in `b_j` with Hessian `2 w_j I`, so the
    step lands on the mean of the mass sent to atom j. Atoms without mass are re-seeded first (see `feed_empty`).

    Args:
        points: `(n, D)`, each of mass 1/n.
        atoms: `(K, D)`.
        plan: `(K, n)`.
        distances: `(K, n)`, squared, between atoms and points.
    """
    plan = feed_empty(plan, distances)
    weights = plan.sum(axis=1)
    moved = atoms - (weights[:, None] * atoms - plan @ points) / weights[:, None]
    return moved, weights / weights.sum()


def feed_empty(plan: Float64, distances: Float64) -> Float64:
    """Return the plan after giving every atom without mass the piece of mass that costs most where it now goes.

    Moving the atom onto that piece then lowers the cost, so re-seeding never undoes progress. Deterministic; needs K
    ≤ n.
    """
    least = EMPTY / plan.shape[1]
    empty = np.flatnonzero(plan.sum(axis=1) <= least)
    if empty.size == 0:
        return plan
    plan = plan.copy()
    for atom in empty:
        # A donor must keep some mass: one above 1/n always exists, since fewer than n atoms hold all of it.
        can_give = (plan > least) & (plan.sum(axis=1, keepdims=True) - plan > least)
        donor, point = np.unravel_index(np.where(can_give, plan * distances, -1.0).argmax(), plan.shape)
        plan[atom, point] += plan[donor, point]
        plan[donor, point] = 0.0
    return plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Clustering:
    """Atoms, what share of the points is nearest to each, and the mean squared distance to the nearest."""

    atoms: Float64
    weights: Float64
    cost: float
    distances: Float64


def cluster(points: Float64, atoms: Float64) -> Clustering:
    """Return the atoms with their Voronoi shares; the cost is inertia / n."""
    distances = squared_distances(atoms, points)
    owners = np.bincount(distances.argmin(axis=0), minlength=len(atoms))
    return Clustering(
        atoms=atoms, weights=owners / len(points), cost=float(distances.min(axis=0).mean()), distances=distances
    )


def lloyd_step(points: Float64, state: Clustering) -> Clustering:
    """Return the clustering after moving every atom to the mean of the points nearest to it."""
    moved, _ = move_atoms(points, state.atoms, voronoi(state.distances), state.distances)
    return cluster(points, moved)
