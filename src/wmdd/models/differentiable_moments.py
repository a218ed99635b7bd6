"""Moments that a loss is made of: weighted, per class, of BatchNorm inputs, cheap enough for every recovery step.

Those of a whole data set, without gradients, are in `streaming_moments`. Differentiating sums and squares with plain
autograd costs as much as the network itself. Here the moments of a layer's input are one autograd function with an
analytic backward, which also takes over the addition of the network's own gradient: with m1 and m2 the means over the P
positions of an image of (x - s) and (x - s)², the gradient to x is dy + (dm1 + 2 (x - s) dm2) / P, an affine pass over
x. Classes are formed from (B, F) numbers, once for all layers.

Shapes: `B = G K` images, class-major · `G` classes · `K` images per class · `F` channels, of one layer or of all.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from wmdd.models.batchnorm import batchnorm_layers, batchnorm_widths
from wmdd.models.streaming_moments import shifted_sums, single_or_wider
from wmdd.models.taps import FeatureTap, tap_batchnorm, tap_features


class _ImageMoments(torch.autograd.Function):
    """`x, s -> x, m1, m2`: hands x on, with the means `(B, F)` of (x - s) and (x - s)² over each image's positions."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, shift: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(x, shift)
        first, second = _image_sums(x, shift)
        positions = _positions(x)
        return x.view_as(x), first.div_(positions), second.div_(positions)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, grad_first: Tensor, grad_second: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, shift = ctx.saved_tensors
        positions = _positions(x)
        slope = (2 * grad_second / positions).to(x.dtype)
        # From the rounded slope, so that in bf16 the rounding does not act as a gradient of the mean.
        offset = (grad_first / positions - slope * shift).to(x.dtype)
        shape = (*slope.shape, *(1,) * (x.dim() - 2))
        return torch.addcmul(grad, x, slope.view(shape)).add_(offset.view(shape)), None


def class_moments(x: Tensor, weights: Tensor, *, shift: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return weighted means and biased variances `(G, F)` of G classes with K images each, in at least fp32.

    mean_g = Σ_j w_gj mean_hw(x_gj) and var_g = Σ_j w_gj mean_hw(x_gj²) - mean_g², both taken about `shift`.
    Differentiable once, with respect to `x` and `weights`.

    Args:
        x: `(G K, F, ...)`, the images of a class side by side; any floating type and memory layout.
        weights: `(G, K)`; each row sums to 1.
        shift: `(F,)`, constants near the means, such as the statistics they will be compared with: they keep the
            difference of the squares accurate. Zeros if left out. The answer is the same up to rounding.
    """
    shift = torch.zeros(x.shape[1], device=x.device) if shift is None else shift
    _, first, second = _image_moments(x, shift.to(single_or_wider(x)))
    return _of_classes(first, second, weights, shift)


class MomentTap:
    """Class moments of all BatchNorm inputs, and the features, of the latest forward pass."""

    def __init__(self, weights: Tensor, shifts: Sequence[Tensor], features: FeatureTap) -> None:
        self._weights = weights
        self._shifts = shifts
        self._features = features
        self._layers: dict[int, tuple[Tensor, Tensor]] = {}
        self._found: tuple[Tensor, Tensor] | None = None

    @property
    def means(self) -> Tensor:
        """Class means `(G, F)`, the layers side by side in module order, as in `ClassStatistics.means`."""
        return self._combine()[0]

    @property
    def variances(self) -> Tensor:
        """Biased class variances `(G, F)`, laid out like `means`."""
        return self._combine()[1]

    @property
    def features(self) -> Tensor:
        """Penultimate features `(B, D)`."""
        return self._features.features

    def take(self, position: int, x: Tensor) -> Tensor:
        """Note the moments of layer `position`'s input and return the tensor that goes on into the layer."""
        x, first, second = _image_moments(x, self._shifts[position].to(single_or_wider(x)))
        self._layers[position] = (first, second)
        self._found = None
        return x

    def _combine(self) -> tuple[Tensor, Tensor]:
        if self._found is None:
            count = len(self._shifts)
            if len(self._layers) < count:
                raise RuntimeError(f"only {len(self._layers)} of {count} BatchNorm layers were run inside this tap")
            first, second = (torch.cat([self._layers[at][part] for at in range(count)], dim=1) for part in (0, 1))
            self._found = _of_classes(first, second, self._weights, torch.cat(list(self._shifts)))
        return self._found


@contextmanager
def batchnorm_moments(
    model: nn.Module, weights: Tensor, shifts: Tensor | None = None
) -> Generator[MomentTap, None, None]:
    """Take the class moments of every BatchNorm input, and the features, of each forward pass inside the `with`.

    Fastest where the model is in channels-last layout.

    Args:
        model: Network in eval mode; its batches must hold G classes of K images each, class by class.
        weights: `(G, K)`; each row sums to 1.
        shifts: `(F,)` constants near the means, the layers side by side; the layers' running means if left out.
    """
    if shifts is None:
        shifts = torch.cat([layer.get_buffer("running_mean") for _, layer in batchnorm_layers(model)])
    with tap_features(model) as features:
        tap = MomentTap(weights, shifts.split(batchnorm_widths(model)), features)
        with tap_batchnorm(model, tap.take):
            yield tap


def _image_moments(x: Tensor, shift: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return _ImageMoments.apply(x, shift)  # pyright: ignore[reportReturnType]


def _of_classes(first: Tensor, second: Tensor, weights: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """Form class means and variances `(G, F)` from images' shifted moments `(B, F)`."""
    groups, per_class = weights.shape
    if groups * per_class != len(first):
        raise ValueError(f"weights {tuple(weights.shape)} do not fit a batch of {len(first)} images")
    rows = weights.to(first.dtype).unsqueeze(1)  # (G, 1, K)
    mean = (rows @ first.view(groups, per_class, -1)).squeeze(1)
    square = (rows @ second.view(groups, per_class, -1)).squeeze(1)
    return mean + shift.to(mean.dtype), square - mean.square()


def _image_sums(x: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """Return the sums `(B, F)` over positions of (x - shift) and (x - shift)²."""
    places = list(range(2, x.dim()))
    if not places:
        return x - shift, (x - shift).square()
    return shifted_sums(x, shift.view(-1, *(1,) * len(places)), places)


def _positions(x: Tensor) -> int:
    return x.shape[2:].numel()
