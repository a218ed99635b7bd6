"""The two plainest summaries of a class: its mean, and the means of its k-means groups."""

from itertools import repeat

import numpy as np

from wmdd.ot.alternatives.following import follow
from wmdd.ot.free_support import wasserstein_barycenter
from wmdd.ot.problem import Barycenter, Problem


def class_mean(problem: Problem, *, iterations: int = 10) -> Barycenter:
    """Return K copies of the mean of the points, weights 1/K; W2² is the points' total variance.

    Where it does not apply: for more than one atom, which all get the same target.

    Args:
        problem: its starting atoms are left.
        iterations: 1 or more; the first reaches the mean, a second finds that nothing changes.

    Raises:
        ConfigError: `iterations` is not positive, or the points are several measures.
    """
    return follow(problem, repeat(np.zeros_like(problem.atoms)), iterations)


def kmeans(problem: Problem, *, iterations: int = 300) -> Barycenter:
    """Return the centres of k-means with the shares of their groups as weights: Lloyd's iteration to convergence.

    For one measure the barycenter with free weights *is* k-means: this is `wasserstein_barycenter(weights="exact")`
    that is not stopped after a few alternations, and its cost is `floor`.

    Where it does not apply: where all atoms should count alike. Small groups get small weights.

    Args:
        problem: of one measure.
        iterations: at most so many; the other objectives have 10, but here each costs O(K n D) and solves no plan.

    Raises:
        ConfigError: `iterations` is not positive, or the points are several measures.
    """
    return wasserstein_barycenter(problem, weights="exact", iterations=iterations)
