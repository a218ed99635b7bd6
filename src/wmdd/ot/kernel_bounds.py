"""The kernel side of the theory: MMD between a small weighted set and a large one, and the bound that it gives.

For a function g of the space H of a kernel k, with the norm of that space,

    |E_a g − E_b g| ≤ ‖g‖_H · MMD_k(a, b),    MMD_k² = Σ_ij s_i s_j k(z_i, z_j),

where z are all points and s their masses, those of b negative. Two kernels are measured:

- linear: MMD is the distance of the means, H the linear functions, ‖g‖ the norm of the weights. A loss is not in H.
- the mixture of Gaussians of `alternatives/mmd.py`. No affine map and no loss that grows is in its H; but the gap asks
  for values at the points alone. `kernel_certificate` takes the function of H that has these values, up to a constant,
  with the least norm: no function that does could have a smaller bound. Its norm is what a user of MMD cannot control.

Shapes: `K` points of the small set, `n` of the large one, `D` features.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from wmdd.ot.alternatives.mmd import KERNEL_WIDTHS, median_distance
from wmdd.ot.cost import Float64, squared_distances

_RIDGE = 1e-8
"""Added to the kernel's diagonal, which is 1, so that points may coincide; what it leaves over is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelCertificate:
    """Both sides of the kernel's inequality for one function: `gap ≤ bound`."""

    discrepancy: float
    """MMD of the two sets."""
    norm: float
    """Of the function with the least norm that has the values."""
    gap: float
    """|E_a g − E_b g|."""
    bound: float
    """norm · discrepancy, and what the values differ from that function's, which is rounding."""


def mean_distance(points_a: Float64, points_b: Float64, weights_a: Float64) -> float:
    """Return ‖E_a f − E_b f‖, the MMD of the linear kernel, of points `(K, D)` with weights `(K,)` and `(n, D)`."""
    return float(np.linalg.norm(np.average(points_a, axis=0, weights=weights_a) - points_b.mean(axis=0)))


def gaussian_mixture(points: Float64, unit: float) -> Float64:
    """Return k(z, z') of all pairs of points `(m, D)`, `(m, m)`: the mean of Gaussians of widths in shares of `unit`.

    `unit` is the median squared distance of the large set's points, as in `alternatives/mmd.py`.
    """
    distances = squared_distances(points, points) / unit
    return np.mean([np.exp(-distances / width) for width in KERNEL_WIDTHS], axis=0)


def kernel_certificate(
    points_a: Float64, points_b: Float64, weights_a: Float64, values_a: Float64, values_b: Float64
) -> KernelCertificate:
    """Return the bound under the mixture of Gaussians for a function that is known at the points alone.

    Args:
        points_a: `(K, D)`, of weights `weights_a`.
        points_b: `(n, D)`, of equal weights.
        weights_a: `(K,)`, divided by their sum.
        values_a: `(K,)`, of the function at the points.
        values_b: `(n,)`.

    An m x m system is solved, m = K + n: O(m³) time, 8 m² bytes a few times.

    Raises:
        DataError: more than half of the pairs of the large set coincide.
    """
    points, values = np.concatenate([points_a, points_b]), np.concatenate([values_a, values_b])
    masses = np.concatenate([weights_a / weights_a.sum(), np.full(len(points_b), -1.0 / len(points_b))])
    kernel = gaussian_mixture(points, median_distance(points_b))
    factor = cho_factor(kernel + _RIDGE * np.eye(len(points)), lower=True)
    flat, shaped = cho_solve(factor, np.ones(len(points))), cho_solve(factor, values)
    coefficients = shaped - flat * (shaped.sum() / flat.sum())  # a constant changes no gap, so the best one is free
    fitted = kernel @ coefficients
    rest = values - (values - fitted).mean() - fitted
    discrepancy, norm = (float(np.sqrt(max(0.0, part))) for part in (masses @ kernel @ masses, coefficients @ fitted))
    return KernelCertificate(
        discrepancy=discrepancy,
        norm=norm,
        gap=float(abs(masses @ values)),
        bound=norm * discrepancy + float(abs(masses @ rest)),
    )
