"""Maximum mean discrepancy (MMD) between the features of optimised images and of real ones, differentiable.

The same quantity as in `wmdd.ot` (its kernels and widths), there for atoms in closed form or by L-BFGS in float64, here
for features on their device. Shapes: `K` images, `n` real rows, `D` features.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from wmdd import ot
from wmdd.context import Context, sent
from wmdd.values import ClassStatistics

KERNELS = ("mmd_linear", "mmd_rbf")
"""Values of `feature_loss` that stand for MMD."""
ROWS = 512
"""Real features of a class that a step compares with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RealFeatures:
    """Features of a class's real images, some of which are drawn in each step."""

    label: int
    rows: Tensor
    """`(n, D)`; may be memory-mapped."""
    median: float | None
    """Median squared distance of real rows, for the Gaussian kernels; None = inner product."""
    within: float
    """Mean kernel between real rows, which no image changes: of those that the median comes from, once for all steps;
    in every step it would take ten times as long as all else. 0 for the inner product, whose means are compared."""
    ctx: Context

    def discrepancy(self, features: Tensor, step: int) -> Tensor:
        """Return MMD² between features `(K, D)` and rows drawn for this step, in squared features.

        Of a Gaussian mixture it is k(f, f) - 2 k(f, r) + `within`: gradients are those of `rbf_discrepancy`. Where
        both samples of real rows differ, it may be a little below 0.
        A kernel without a unit is multiplied by `feature_unit`, so that both kernels, like the distance to an atom, are
        ||f - r||² for one image f near one real row r, and lambda means the same beside each.
        """
        drawn = draw_rows(self.rows, ROWS, self.ctx.generator("real", self.label, step))
        real = sent(drawn, features.device)
        if self.median is None:
            return linear_discrepancy(features, real)
        return feature_unit(self.median) * (rbf_advantage(features, real, self.median) + self.within)


def real_features(
    statistics: ClassStatistics, labels: Sequence[int], kernel: str, ctx: Context
) -> tuple[RealFeatures, ...]:
    """Return the real features of some classes; each one's widths come from at most `ROWS` rows and stay the same."""

    def of_class(label: int) -> RealFeatures:
        rows, median, within = statistics.of_class(label), None, 0.0
        if kernel == "mmd_rbf":
            some = draw_rows(rows, ROWS, ctx.generator("widths", label))
            median = ot.median_distance(some.numpy().astype("float64"))
            within = float(_kernel(some, some, median))
        return RealFeatures(label=label, rows=rows, median=median, within=within, ctx=ctx)

    return tuple(of_class(label) for label in labels)


def class_discrepancies(features: Tensor, real: Sequence[RealFeatures], step: int) -> Tensor:
    """Return MMD² of each class, `(G,)`, for the features `(G·K, D)` of a group."""
    parts = features.split(len(features) // len(real))
    return torch.stack([each.discrepancy(own, step) for each, own in zip(real, parts, strict=True)])


def linear_discrepancy(features: Tensor, real: Tensor) -> Tensor:
    """Return MMD² under the inner product, the squared distance of the means, for `(K, D)` and `(n, D)`."""
    return (features.mean(dim=0) - real.mean(dim=0)).square().sum()


def feature_unit(median: float) -> float:
    """Return how many squared features one unit of the Gaussian mixture's MMD² is worth: median / (2 sum_q 1/q).

    Two points at a distance d that is small against the widths have MMD² = 2 sum_q (1 - exp(-d² / (q median))), which
    is 2 d² / median · sum_q 1/q to first order.
    """
    return median / (2 * sum(1 / width for width in ot.KERNEL_WIDTHS))


def rbf_discrepancy(features: Tensor, real: Tensor, median: float) -> Tensor:
    """Return MMD² = mean k(f, f) - 2 mean k(f, r) + mean k(r, r) under the mixture of Gaussians of `wmdd.ot`.

    The V-statistic, diagonal included: at least 0, and defined for one image (Gretton et al. 2012).

    Args:
        features: `(K, D)`.
        real: `(n, D)`.
        median: the median squared distance of real rows, which the widths are multiples of.
    """
    return rbf_advantage(features, real, median) + _kernel(real, real, median)


def rbf_advantage(features: Tensor, real: Tensor, median: float) -> Tensor:
    """Return mean k(f, f) - 2 mean k(f, r), the part of `rbf_discrepancy` that depends on features."""
    return _kernel(features, features, median) - 2 * _kernel(features, real, median)


def _kernel(one: Tensor, other: Tensor, median: float) -> Tensor:
    return kernel_matrix(one, other, median).mean()


def kernel_matrix(one: Tensor, other: Tensor, median: float) -> Tensor:
    """Return sum_q exp(-d / (q median)) for pairs of rows `(m, D)`, `(n, D)`, d the squared distance: `(m, n)`."""
    norms = one.square().sum(dim=1)[:, None] + other.square().sum(dim=1)[None]
    distances = (norms - 2 * one @ other.T).clamp(min=0)
    widths = sent(torch.tensor(ot.KERNEL_WIDTHS, dtype=one.dtype) * median, one.device)
    return torch.exp(-distances[..., None] / widths).sum(dim=-1)


def draw_rows(rows: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Return `most` of the rows, drawn without replacement; all of them if there are no more."""
    return rows if len(rows) <= most else rows[torch.randperm(len(rows), generator=generator)[:most]]
