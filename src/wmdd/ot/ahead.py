"""`python -m wmdd.ot.ahead`: compile what barycenters and diagnosis call, so that later processes find it cached."""

import numpy as np

from wmdd.ot.alternatives.centres import kmeans
from wmdd.ot.diagnosis import random_cost
from wmdd.ot.free_support import wasserstein_barycenter
from wmdd.ot.plan import wasserstein1, wasserstein2
from wmdd.ot.problem import Problem
from wmdd.ot.seeding import kmeans_plus_plus

_POINTS, _ATOMS, _FEATURES = 40, 3, 4


def compile_ahead() -> None:
    """Solve small problems with every compiled function, in the types that stages use."""
    draw = np.random.default_rng(0)
    points = draw.normal(size=(_POINTS, _FEATURES))
    problem = Problem.of(points, _ATOMS, start=kmeans_plus_plus(points, _ATOMS, draw), seed=0)
    found = wasserstein_barycenter(problem)
    kmeans(problem)
    random_cost(points, _ATOMS, draw, draws=2)
    for measure in (wasserstein1, wasserstein2):
        measure(found.atoms, points, found.weights)


if __name__ == "__main__":
    compile_ahead()
