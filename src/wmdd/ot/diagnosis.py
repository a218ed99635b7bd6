"""Yardsticks for the distance between a small weighted set of points and the large set it represents.

- The cost of randomly drawn points (`random_cost`). The other yardstick is the cost that `kmeans` reaches.
- The bound behind distilling by transport (Kantorovich and Rubinstein): for every function g, with a norm if it is
  vector-valued, `|E_a g − E_b g| ≤ Lip(g) · W1(a, b)`. Mean gap and Lipschitz constant are computed for the two
  functions of a point whose constants are known: an affine map, and the cross-entropy of its outputs.

The bound holds in the space of the points and for these functions of a point. It says nothing about functions that do
not factor through the points, such as the loss of another network.

Shapes: `K` points of the small set, `n` of the large one, `D` features, `C` outputs.
"""

from dataclasses import dataclass

import numpy as np

from wmdd.ot.cost import Float64
from wmdd.ot.plan import wasserstein2

_TABLE = 1 << 20
"""Outputs in memory at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Affine:
    """The map `g(f) = W f + b`, such as the last layer of a classifier."""

    matrix: Float64
    """W, `(C, D)`."""
    offset: Float64
    """b, `(C,)`."""


def random_cost(
    points: Float64, num_atoms: int, generator: np.random.Generator, *, draws: int = 10
) -> tuple[float, float]:
    """Return mean and sample standard deviation, over `draws`, of W2² between K random points and all points `(n, D)`.

    A draw is uniform and without replacement; its points have equal weights.

    Raises:
        NumericsError: a transport problem could not be solved.
    """
    picks = [generator.choice(len(points), num_atoms, replace=False) for _ in range(draws)]
    costs = [wasserstein2(points[pick], points).value for pick in picks]
    return float(np.mean(costs)), float(np.std(costs, ddof=1))


def affine_gap(affine: Affine, points_a: Float64, points_b: Float64, weights_a: Float64) -> float:
    """Return `‖E_a g − E_b g‖₂` of an affine map g.

    The points `(K, D)` have weights `(K,)`, which are divided by their sum; the points `(n, D)` have equal weights.
    """
    difference = np.average(points_a, axis=0, weights=weights_a) - points_b.mean(axis=0)
    return float(np.linalg.norm(affine.matrix @ difference))


def affine_lipschitz(affine: Affine) -> float:
    """Return the Lipschitz constant of an affine map in Euclidean norms: the largest singular value of W."""
    return float(np.linalg.norm(affine.matrix, 2))


def cross_entropy_gap(affine: Affine, label: int, points_a: Float64, points_b: Float64, weights_a: Float64) -> float:
    """Return `|E_a ℓ − E_b ℓ|` of the cross-entropy of an affine map's outputs against class `label`.

    As a function of the point, `ℓ(f) = logsumexp(W f + b) − (W f + b)_label`. The other arguments are those of
    `affine_gap`.
    """
    mean_a = np.average(cross_entropy_values(affine, label, points_a), weights=weights_a)
    return float(abs(mean_a - cross_entropy_values(affine, label, points_b).mean()))


def cross_entropy_lipschitz(affine: Affine, label: int) -> float:
    """Return `max_j ‖w_j − w_label‖₂`, a Lipschitz constant of the cross-entropy of Wf + b against class `label`.

    The gradient in the point is `Wᵀ (p − e_label) = Σ_j p_j (w_j − w_label)` with p the softmax. Its norm is convex in
    p, so over the simplex it is largest at a corner, where p is a unit vector. Points may never come near that corner,
    so the smallest constant may be lower.
    """
    return float(np.linalg.norm(affine.matrix - affine.matrix[label], axis=1).max())


def cross_entropy_values(affine: Affine, label: int, points: Float64) -> Float64:
    """Return `ℓ(f)` of every point, `(n,)`, in nats; memory is bounded whatever the number of outputs."""
    rows = max(1, _TABLE // len(affine.matrix))
    losses = np.empty(len(points))
    for start in range(0, len(points), rows):
        outputs = points[start : start + rows] @ affine.matrix.T + affine.offset
        outputs -= outputs.max(axis=1, keepdims=True)
        losses[start : start + rows] = np.log(np.exp(outputs).sum(axis=1)) - outputs[:, label]
    return losses
