"""Lloyd's iteration: k-means.

For a single measure the barycenter with free weights *is* k-means (each point goes to its nearest atom and the
weights are the shares), so it serves both as the `exact` variant and as the floor that other results are compared
with. Shapes: `K` atoms, `n` points, `D` features.
"""

import numpy as np

from wmdd.ot._cost import Float64, quick_distances
from wmdd.ot._paths import Pieces
from wmdd.ot._problem import Problem
from wmdd.ot._state import State, move_atoms, state_of


def cluster(problem: Problem, atoms: Float64, distances: Float64, before: State | None = None) -> State:
    """Return the state that sends every point to the nearest of the atoms `(K, D)`: the best if weights are free.

    Its cost is inertia / n where all points weigh the same. `distances` are theirs, `(K, n)`, squared; `before` is a
    state to begin from.
    """
    owner = distances.argmin(axis=0)
    weights = np.bincount(owner, problem.masses, len(atoms))
    pieces = Pieces(owner, np.arange(len(owner)), problem.masses)
    return state_of(problem, atoms, weights / weights.sum(), distances=distances, pieces=pieces, before=before)


def lloyd_step(problem: Problem, state: State) -> State:
    """Return the state after moving every atom to the mean of the points nearest to it."""
    moved, _ = move_atoms(problem, state)
    return cluster(problem, moved, quick_distances(moved, problem.cloud), state)
