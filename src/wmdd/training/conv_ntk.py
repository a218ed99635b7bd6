"""The neural tangent kernel of an infinitely wide ConvNet, exactly, as KIP's second paper uses it.

The network: a 3 x 3 convolution and ReLU, then blocks of 3 x 3 convolution, ReLU and 2 x 2 mean pooling, all padded
with zeros, then a dense layer on all that is left (the ConvNet of DC without norms, with one convolution more in front;
Nguyen et al. 2021, arXiv:2107.13034). In NTK parametrisation the variances are those of `ntk.py`. Formulas: Arora et
al. 2019 (arXiv:1904.11955), Novak et al. 2019 (arXiv:1810.05148).

Pooling mixes places, so that for each pair of images all pairs of their places count: (H W)² numbers in each layer, 8
MB at 32 x 32 in float64. Pairs are computed a few at a time, and again for their gradient: memory hardly grows with
their number, but each takes 0.6 ms at 8 x 8 and 0.4 s at 32 x 32, forward and backward, on one core.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from wmdd.errors import ConfigError
from wmdd.training.ntk import BIAS_VARIANCE, EDGE, WEIGHT_VARIANCE

AT_ONCE = 2**18
"""Numbers of a layer that a CPU computes at once, for as many pairs as they make."""
ON_GPU = 64
"""So many times as many for a GPU, whose kernels would else be too small; not measured."""
LAYERS = 16
"""As many layers of a pair's numbers are in memory at once in the backward pass, measured at 64 pixels."""
MOST = 8 * 2**30
"""Bytes that they may take."""


def conv_tangent_kernel(first: Tensor, second: Tensor, *, blocks: int) -> Tensor:
    """Return the neural tangent kernel of two sets of images, float64 `(n, m)`, differentiable in both.

    For places p of x and q of x', with S the covariance before a ReLU and Theta the tangent kernel,

        n = sqrt(S_x(p, p) S_x'(q, q)),   c = S(p, q) / n,
        k0 = (pi - acos c) / pi,   k1 = (c (pi - acos c) + sqrt(1 - c²)) / pi,

        ReLU:         K = n k1 / 2,   Theta <- k0 / 2 Theta
        pooling:      K and Theta <- their means over 2 x 2 places p and 2 x 2 places q
        convolution:  S = s_w / 9 sum_d K(p + d, q + d) + s_b,   Theta <- S + s_w / 9 sum_d Theta(p + d, q + d)
        dense:        s_w mean_p K(p, p) + s_b + s_w mean_p Theta(p, p)

    d are the nine shifts; beyond the border there are zeros. S_x and S_x' are those of an image with itself.

    Args:
        first: `(n, ch, H, W)`.
        second: `(m, ch, H, W)`.
        blocks: with pooling; 0 = one convolution, ReLU and the dense layer.

    Raises:
        ConfigError: images are too small to be pooled so often, or so large that no memory would do.
    """
    require_pooled_images(first.shape[-1], blocks)
    x = _Images.of(first.double(), blocks)
    y = x if first is second else _Images.of(second.double(), blocks)
    pairs = torch.arange(len(first) * len(second), device=first.device)
    parts = [
        checkpoint(_pairs, x, y, some // len(second), some % len(second), use_reentrant=False, preserve_rng_state=False)
        for some in pairs.split(_at_once(first))
    ]
    return torch.cat(parts).view(len(first), len(second))


def require_pooled_images(side: int, blocks: int) -> None:
    """Refuse images of a side that cannot be pooled so often, or of which a single pair takes too much memory.

    Raises:
        ConfigError: they are such.
    """
    if side < 2**blocks:
        raise ConfigError(
            f"a kernel with {blocks} blocks needs images of {2**blocks} pixels and more; got {side}; take fewer blocks"
        )
    needed = 8 * LAYERS * side**4
    if needed > MOST:
        raise ConfigError(
            f"a convolutional kernel may take {MOST / 2**30:.0f} GB of memory for a pair of images; got "
            f"{needed / 2**30:.0f} GB at {side} pixels; set data.image_size to {int((MOST / 8 / LAYERS) ** 0.25)} or "
            "lower, or take the kernel fc"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Images:
    """Images `(n, ch, H, W)`, float64, and S(p, p) before each ReLU, `(n, H, W)` each."""

    pixels: Tensor
    variances: tuple[Tensor, ...]

    @classmethod
    def of(cls, pixels: Tensor, blocks: int) -> "_Images":
        """Return the images with their variances."""
        parts = [
            checkpoint(_variances, few, blocks, use_reentrant=False, preserve_rng_state=False)
            for few in pixels.split(_at_once(pixels))
        ]
        return cls(pixels=pixels, variances=tuple(torch.cat(layer) for layer in zip(*parts, strict=True)))


def _at_once(images: Tensor) -> int:
    """Return how many pairs of images `(n, ch, H, W)` are computed at once."""
    numbers = AT_ONCE if images.device.type == "cpu" else ON_GPU * AT_ONCE
    return max(1, numbers // images[0, 0].numel() ** 2)


def _variances(images: Tensor, blocks: int) -> list[Tensor]:
    covariance = _Convolved.apply(_products(images, images)) + BIAS_VARIANCE
    found = [_diagonal(covariance)]
    for block in range(blocks):
        rectified, _ = _Rectified.apply(covariance, found[-1], found[-1])
        covariance = _Convolved.apply(rectified if block == 0 else _pooled(rectified)) + BIAS_VARIANCE
        found.append(_diagonal(covariance))
    return found


def _pairs(x: _Images, y: _Images, rows: Tensor, columns: Tensor) -> Tensor:
    """Return the kernel of the pairs of images of `x` and `y` at these places, `(B,)` each.

    Images are taken here, so that what is kept for the backward pass are places alone.
    """
    covariance = _Convolved.apply(_products(x.pixels[rows], y.pixels[columns])) + BIAS_VARIANCE
    kernel = covariance
    last = len(x.variances) - 1
    for layer, (of_x, of_y) in enumerate(zip(x.variances, y.variances, strict=True)):
        covariance, half = _Rectified.apply(covariance, of_x[rows], of_y[columns])
        kernel = half * kernel
        if layer > 0:
            covariance, kernel = _pooled(covariance), _pooled(kernel)
        if layer < last:
            covariance = _Convolved.apply(covariance) + BIAS_VARIANCE
            kernel = covariance + _Convolved.apply(kernel)
    means = _diagonal(covariance + kernel).flatten(1).mean(1)
    return WEIGHT_VARIANCE * means + BIAS_VARIANCE


def _products(x: Tensor, y: Tensor) -> Tensor:
    """Return x(p)·y(q) / ch for all places of pairs of images `(B, ch, H, W)`: `(B, H, W, H, W)`."""
    return torch.einsum("bcij,bckl->bijkl", x, y) / x.shape[1]


class _Rectified(torch.autograd.Function):
    """The covariance after a ReLU, and k0 / 2, both `(B, H, W, H, W)`; with the derivatives in closed form.

    With v = S(q, q) of either image, dK/dS = k0 / 2 and dK/d sqrt(v v') = sqrt(1 - c²) / 2 pi, also where c is +-1; k0
    has no derivative there, and gets 0.
    """

    @staticmethod
    def forward(ctx: Any, covariance: Tensor, of_x: Tensor, of_y: Tensor) -> tuple[Tensor, Tensor]:
        scale = of_x.sqrt()[:, :, :, None, None] * of_y.sqrt()[:, None, None]
        cosine = (covariance / scale).clamp_(-1 + EDGE, 1 - EDGE)
        half = torch.acos(cosine).mul_(-0.5 / math.pi).add_(0.5)
        sine = cosine.square().neg_().add_(1).sqrt_().div_(2 * math.pi)
        ctx.save_for_backward(of_x, of_y, scale, cosine, half, sine)
        return (cosine * half).add_(sine).mul_(scale), half

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        of_rectified, of_half = gradients
        of_x, of_y, scale, cosine, half, sine = ctx.saved_tensors
        # 1 / (4 pi² sine) is the derivative of k0 / 2 by the cosine.
        angle = of_half / (sine * (4 * math.pi**2))
        angle.masked_fill_(cosine.abs() >= 1 - EDGE, 0)
        # The derivatives by log S and by the log of the scale, of which each variance has a half.
        by_scale = (of_rectified * sine).mul_(scale).sub_(angle * cosine)
        by_covariance = (of_rectified * half).addcdiv_(angle, scale)
        return by_covariance, by_scale.sum((3, 4)) / (2 * of_x), by_scale.sum((1, 2)) / (2 * of_y)


class _Convolved(torch.autograd.Function):
    """s_w / 9 times the sum over nine common shifts of p and q, of `(B, H, W, H, W)`, with zeros beyond the border.

    As a linear map it is symmetric, so that it is its own derivative.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        del ctx
        for p, q in ((1, 3), (2, 4)):
            count = values.shape[p] - 1
            total = values.clone()
            total.narrow(p, 0, count).narrow(q, 0, count).add_(values.narrow(p, 1, count).narrow(q, 1, count))
            total.narrow(p, 1, count).narrow(q, 1, count).add_(values.narrow(p, 0, count).narrow(q, 0, count))
            values = total
        return values.mul_(WEIGHT_VARIANCE / 9)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _Convolved.forward(ctx, *gradients)


def _pooled(values: Tensor) -> Tensor:
    """Return the means over 2 x 2 places of either image; a last odd row or column is left out."""
    for axis in (1, 2, 3, 4):
        count = values.shape[axis] // 2
        values = values.narrow(axis, 0, 2 * count).unflatten(axis, (count, 2)).mean(axis + 1)
    return values


def _diagonal(values: Tensor) -> Tensor:
    """Return the values at p = q of `(B, H, W, H, W)`: `(B, H, W)`."""
    return values.diagonal(dim1=1, dim2=3).diagonal(dim1=1, dim2=2)
