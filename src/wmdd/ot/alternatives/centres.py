"""The two plainest summaries of a class: its mean, and the means of its k-means groups."""

from itertools import repeat

import numpy as np

from wmdd.ot._barycenter import barycenter
from wmdd.ot._cost import Points
from wmdd.ot._problem import Barycenter, prepare
from wmdd.ot.alternatives.following import follow


def class_mean(
    points: Points, num_atoms: int, *, iterations: int = 10, start: str | Points = "kmeans++", seed: int = 0
) -> Barycenter:
    """Return K copies of the mean of the points, weights 1/K; W2² is the points' total variance.

    Where it does not apply: for more than one atom, which all get the same target.

    Args:
        points: `(n, D)`, NumPy array or tensor of any floating type on any device; computed in float64 on the CPU.
        num_atoms: K, at most n.
        iterations: 1 or more; the first reaches the mean, a second finds that nothing changes.
        start: checked as everywhere, and left.
        seed: of the start.

    Raises:
        ConfigError: a setting is out of range or misspelt, or `start` does not fit.
        DataError: the points hold NaN, or are fewer than the atoms.
    """
    problem = prepare(points, num_atoms, start=start, seed=seed)
    return follow(problem, repeat(np.zeros_like(problem.atoms)), iterations)


def kmeans(
    points: Points, num_atoms: int, *, iterations: int = 300, start: str | Points = "kmeans++", seed: int = 0
) -> Barycenter:
    """Return the centres of k-means with the shares of their groups as weights: Lloyd's iteration to convergence.

    It is `barycenter(weights="exact")` that is not stopped after a few alternations, and its cost is `floor`.

    Where it does not apply: where all atoms shall count alike. Small groups get small weights.

    Args:
        points: `(n, D)`, NumPy array or tensor of any floating type on any device; computed in float64 on the CPU.
        num_atoms: K, at most n.
        iterations: at most so many; the other objectives have 10, but here each costs O(K n D) and solves no plan.
        start: `"kmeans++"`, `"points"`, or the atoms to start from, `(K, D)`.
        seed: of the start.

    Raises:
        ConfigError: a setting is out of range or misspelt, or `start` does not fit.
        DataError: the points hold NaN, or are fewer than the atoms.
    """
    return barycenter(points, num_atoms, weights="exact", iterations=iterations, start=start, seed=seed)
