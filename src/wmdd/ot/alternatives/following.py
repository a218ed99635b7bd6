"""The loop of the solvers that move K atoms of equal weight: whatever they minimise, exact transport judges them.

Shapes: `K` atoms, `n` points, `D` features.
"""

from collections.abc import Iterator
from itertools import islice

import numpy as np

from wmdd.errors import ConfigError
from wmdd.ot.cost import Float64, exact_distances
from wmdd.ot.plan import transport
from wmdd.ot.problem import Barycenter, Problem

_SETTLED = 1e-9
"""Longest move of an atom, relative to the root mean square distance of the points from their mean, that is none."""


def follow(problem: Problem, moves: Iterator[Float64], iterations: int) -> Barycenter:
    """Return where the atoms are after the first `iterations` moves, or after the first move that changes nothing.

    Args:
        problem: points of equal mass, and the atoms before the first move.
        moves: the atoms after each move, `(K, D)`, about the points' mean.
        iterations: 1 or more.

    Raises:
        ConfigError: `iterations` is not positive, or the points are several measures.
        NumericsError: a transport problem could not be solved.
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
