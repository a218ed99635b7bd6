"""Maximum mean discrepancy (MMD) between the features of optimised images and of real ones, differentiable.

The same quantity as in `wmdd.ot` (its kernels and widths), there for atoms in closed form or by L-BFGS in float64, here
for features on their device. Shapes: `K` images, `n` real rows, `D` features.
"""

import torch
from torch import Tensor

from wmdd import ot


def linear_discrepancy(features: Tensor, real: Tensor) -> Tensor:
    """Return MMD² under the inner product, the squared distance of the means, for `(K, D)` and `(n, D)`."""
    return (features.mean(dim=0) - real.mean(dim=0)).square().sum()


def rbf_discrepancy(features: Tensor, real: Tensor, median: float) -> Tensor:
    """Return MMD² = mean k(f, f) - 2 mean k(f, r) + mean k(r, r) under the mixture of Gaussians of `wmdd.ot`.

    The V-statistic, diagonal included: at least 0, and defined for one image (Gretton et al. 2012).

    Args:
        features: `(K, D)`.
        real: `(n, D)`.
        median: the median squared distance of real rows, which the widths are multiples of.
    """
    return _kernel(features, features, median) - 2 * _kernel(features, real, median) + _kernel(real, real, median)


def _kernel(one: Tensor, other: Tensor, median: float) -> Tensor:
    """Return the mean over pairs of sum_q exp(-d / (q median)), d the squared distance."""
    norms = one.square().sum(dim=1)[:, None] + other.square().sum(dim=1)[None]
    distances = (norms - 2 * one @ other.T).clamp(min=0)
    widths = torch.tensor(ot.KERNEL_WIDTHS, device=one.device, dtype=one.dtype) * median
    return torch.exp(-distances[..., None] / widths).sum(dim=-1).mean()
