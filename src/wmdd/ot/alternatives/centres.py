"""The two plainest summaries of a class: its mean, and its k-means centres."""

from itertools import repeat

import numpy as np

from wmdd.ot.alternatives.following import follow
from wmdd.ot.free_support import wasserstein_barycenter
from wmdd.ot.problem import Barycenter, Problem


def class_mean(problem: Problem, *, iterations: int = 10) -> Barycenter:
    """Return K copies of the mean of the points, weights 1/K; W2² is the points' total variance.

    Where it does not apply: for more than one atom, which all get the same target. The first iteration reaches the
    mean, the second finds that nothing changes.
    """
    return follow(problem, repeat(np.zeros_like(problem.atoms)), iterations)


def kmeans(problem: Problem, *, iterations: int = 300) -> Barycenter:
    """Return the k-means centres with the shares of their groups as weights: Lloyd's iteration to convergence.

    For one measure the barycenter with free weights *is* k-means: this is `wasserstein_barycenter(weights="exact")`
    run to convergence: the yardstick for barycenters of the same problem. It is no bound: the optimum is the global
    optimum of k-means, and a single start finds a local one. An iteration costs O(K n D) and solves no plan, so there
    may be more of them than the 10 of the other objectives.

    Where it does not apply: where all atoms should count alike. Small groups get small weights.
    """
    return wasserstein_barycenter(problem, weights="exact", iterations=iterations)
