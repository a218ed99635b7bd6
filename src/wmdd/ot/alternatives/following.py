"""The loop shared by the solvers that move K atoms of equal weight: exact transport gives the cost of every move."""

from collections.abc import Iterator
from itertools import islice

import numpy as np

from wmdd.errors import ConfigError
from wmdd.ot.cost import Float64, exact_distances
from wmdd.ot.plan import transport
from wmdd.ot.problem import Barycenter, Problem

_SETTLED = 1e-9
"""A move of an atom shorter than this fraction of the points' root mean square distance from their mean is none."""


def follow(problem: Problem, moves: Iterator[Float64], iterations: int) -> Barycenter:
    """Return the atoms after `iterations` moves, or after the first move that changes nothing.

    Args:
        problem: one measure of points of equal mass, and the atoms before the first move.
        moves: the atoms after each move, `(K, D)`, relative to the points' mean.
        iterations: at least 1.
    """
    if iterations < 1:
        raise ConfigError(f"iterations must be >= 1; got {iterations}; the default is 10")
    if len(problem.measures) > 1:
        raise ConfigError(f"this objective takes one measure; got {len(problem.measures)}; `barycenter` takes several")
    weights = np.full(len(problem.atoms), 1.0 / len(problem.atoms))
    longest = _SETTLED * float(np.sqrt(problem.cloud.norms.mean()))
    atoms, trace, converged = problem.atoms, list[float](), False
    for moved in islice(moves, iterations):
        converged = float(np.linalg.norm(moved - atoms, axis=1).max()) <= longest
        atoms = moved
        trace.append(transport(exact_distances(atoms, problem.cloud), weights, problem.masses).value)
        if converged:
            break
    return Barycenter(
        atoms=atoms + problem.cloud.centre, weights=weights, cost=trace[-1], trace=tuple(trace), converged=converged
    )
