"""W2² between the features of optimised images, taken as a set, and other points, differentiable in the former.

The plan is exact and held fixed. By the envelope theorem that is the gradient of W2² wherever it has one: feature i is
drawn towards its barycentric projection, 2 w_i (f_i - sum_j t_ij y_j / w_i). Shapes: `K` images, `n` points, `D`
features.
"""

import torch
from torch import Tensor

from wmdd import ot
from wmdd.context import sent


def set_discrepancy(features: Tensor, points: Tensor, weights: Tensor, masses: Tensor | None = None) -> Tensor:
    """Return W2², a scalar.

    Args:
        features: `(K, D)`, on any device.
        points: `(n, D)`.
        weights: `(K,)` of the features; they add up to 1.
        masses: `(n,)` of the points; equal if None.
    """
    shares = weights.double()
    plan = ot.wasserstein2(features.detach().double(), points.double(), shares / shares.sum(), masses)
    device = features.device
    rows, mass = sent(torch.from_numpy(plan.rows), device), sent(torch.from_numpy(plan.mass), device, features.dtype)
    partners = sent(points[torch.from_numpy(plan.columns)], device, features.dtype)
    return mass @ (features[rows] - partners).square().sum(dim=1)
