"""Training infinitely wide networks in closed form: neural tangent kernel, kernel regression, label solve.

The kernel here is that of fully connected ReLU networks (Jacot et al. 2018; arc-cosine formulas of Cho and Saul 2009),
as KIP uses it (Nguyen et al. 2021, arXiv:2011.00050 and 2107.13034); that of ConvNets is in `conv_ntk.py`. Everything
is float64 and differentiable: regression with fewer digits is unreliable. Symbols: `D` numbers in an input, `n_s`
support and `n_t` target inputs, `C` classes.
"""

import math
from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from wmdd.context import sent
from wmdd.errors import ConfigError

RIDGE = 1e-6
"""Regularisation lambda, in units of the mean of the kernel's diagonal (Nguyen et al.)."""
WEIGHT_VARIANCE = 2.0
BIAS_VARIANCE = 0.01
EDGE = 1e-14
"""How near a cosine may come to +-1, where the derivative of acos has no bound. Below it the angle is 1.4e-7."""

KernelFunction = Callable[[Tensor, Tensor], Tensor]
"""Inputs `(n, ...)`, `(m, ...)` → the kernel of all pairs, float64 `(n, m)`."""


def tangent_kernel(first: Tensor, second: Tensor, *, hidden: int = 1) -> Tensor:
    """Return the neural tangent kernel of two sets of inputs, float64 `(n, m)`.

    With S the covariance and Theta the tangent kernel after a layer, S = Theta = s_w x·x'/D + s_b after the first one,
    and per hidden layer, with c = S / sqrt(S(x, x) S(x', x')),

        k0 = (pi - acos c) / pi,   k1 = (c (pi - acos c) + sqrt(1 - c²)) / pi,
        S <- s_w sqrt(S(x, x) S(x', x')) k1 / 2 + s_b,   Theta <- S + s_w k0 / 2 Theta,

    s_w = 2 and s_b = 0.01. The diagonals S(x, x) are carried along by themselves (k1 = 1 there).

    Args:
        first: `(n, ...)`; each input is flattened to D numbers.
        second: `(m, ...)`.
        hidden: hidden layers; 1 is KIP's FC1.
    """
    x, y = first.flatten(1).double(), second.flatten(1).double()
    width = x.shape[1]
    x_norms = WEIGHT_VARIANCE * x.square().sum(1) / width + BIAS_VARIANCE
    y_norms = WEIGHT_VARIANCE * y.square().sum(1) / width + BIAS_VARIANCE
    covariance = WEIGHT_VARIANCE * (x @ y.T) / width + BIAS_VARIANCE
    kernel = covariance
    for _ in range(hidden):
        scale = (x_norms[:, None] * y_norms[None, :]).sqrt()
        cosine = (covariance / scale).clamp(-1 + EDGE, 1 - EDGE)
        rest = math.pi - torch.acos(cosine)
        covariance = (
            WEIGHT_VARIANCE * scale * (cosine * rest + (1 - cosine.square()).sqrt()) / (2 * math.pi) + BIAS_VARIANCE
        )
        kernel = covariance + WEIGHT_VARIANCE * rest / (2 * math.pi) * kernel
        x_norms = WEIGHT_VARIANCE * x_norms / 2 + BIAS_VARIANCE
        y_norms = WEIGHT_VARIANCE * y_norms / 2 + BIAS_VARIANCE
    return kernel


def centred_classes(labels: Tensor, num_classes: int) -> Tensor:
    """Return the labels that kernel regression fits, float64 `(n, C)`: one-hot minus 1/C."""
    return F.one_hot(labels, num_classes).double() - 1 / num_classes


def kernel_regression(
    support: Tensor, targets: Tensor, queries: Tensor, *, kernel: KernelFunction = tangent_kernel
) -> Tensor:
    """Return what a wide network, trained to its end on `support`, answers to `queries`, float64 `(n_t, C)`.

    K_ts (K_ss + lambda tr(K_ss)/n_s I)^-1 y_s; the class is the largest column.

    Args:
        support: `(n_s, ...)`, normalised like `queries`.
        targets: `(n_s, C)`, such as `centred_classes`.
        queries: `(n_t, ...)`.
        kernel: that of the network; `training/kernels.py` has them by name.
    """
    # `solve` would wait for a GPU to say whether there is a solution; here it is not finite if there is none.
    solved = torch.linalg.solve_ex(_regularised(kernel(support, support)), targets.double()).result
    return kernel(queries, support) @ solved


def regression_loss(
    support: Tensor, targets: Tensor, queries: Tensor, answers: Tensor, *, kernel: KernelFunction = tangent_kernel
) -> Tensor:
    """Return half the mean squared error of kernel regression over the n_t · C answers, KIP's loss."""
    return 0.5 * (kernel_regression(support, targets, queries, kernel=kernel) - answers).square().mean()


def solve_labels(
    support: Tensor, parts: Iterable[tuple[Tensor, Tensor]], *, kernel: KernelFunction = tangent_kernel
) -> Tensor:
    """Return the support's labels under which kernel regression answers best: label solve, float64 `(n_s, C)`.

    The minimiser of least norm of ||A y_s - y_t||² with A = K_ts (K_ss + lambda tr(K_ss)/n_s I)^-1. The rows of
    [A, y_t] are folded into a triangle (QR) part by part, so that memory does not grow with n_t and, unlike in A'A, no
    digit is lost; the triangle is solved through its SVD.

    Args:
        support: `(n_s, ...)`, fixed.
        parts: queries `(b, ...)` with their answers `(b, C)`, over all targets.
        kernel: that of the network; `training/kernels.py` has them by name.
    """
    regularised = _regularised(kernel(support, support))
    triangle: Tensor | None = None
    for queries, answers in parts:
        rows = torch.linalg.solve(regularised, kernel(support, queries)).T
        stacked = torch.cat([rows, sent(answers.double(), rows.device)], dim=1)
        stacked = stacked if triangle is None else torch.cat([triangle, stacked])
        triangle = torch.linalg.qr(stacked, mode="r").R
    assert triangle is not None
    count = len(support)
    folded = triangle.cpu()  # the SVD driver that finds the least norm exists on the CPU alone
    return torch.linalg.lstsq(folded[:, :count], folded[:, count:], driver="gelsd").solution.to(support.device)


def _regularised(kernel: Tensor) -> Tensor:
    """Return K_ss + lambda tr(K_ss)/n_s I."""
    return kernel + RIDGE * kernel.diagonal().mean() * torch.eye(len(kernel), dtype=kernel.dtype, device=kernel.device)


def require_float64(device: torch.device) -> None:
    """Refuse a device without float64, in which kernels have to be.

    Raises:
        ConfigError: it is one.
    """
    if device.type == "mps":
        raise ConfigError(f"kernel regression needs float64; got device {device.type}; use --device cpu")
