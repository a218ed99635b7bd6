"""Moments of a data set: mean and variance per channel, computed in parts, in any order, and merged without loss.

No gradient goes through them; those that a loss is made of are in `differentiable_moments`. Merging follows Chan, Golub
& LeVeque (1983): the part of the variance that lies between batches is kept. Within a batch the sums are taken in the
input's precision about a shift close to the mean (so nothing cancels), block by block, and added up in float64.
`torch.var_mean` over these axes costs five to fifteen times as much on a CPU.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from wmdd.errors import DataError

_BLOCK = 1 << 18
"""Elements that are shifted and squared at once on a CPU, so that the temporary stays in the cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Count, mean and summed squared deviation of F channels."""

    count: int
    """Values seen per channel."""
    mean: Tensor
    """float64 `(F,)`."""
    m2: Tensor
    """float64 `(F,)`: sum of squared deviations from `mean`."""

    @classmethod
    def empty(cls, channels: int) -> "Moments":
        """Return the moments of no data, which leave others as they are when merged."""
        zeros = torch.zeros(channels, dtype=torch.float64)
        return cls(count=0, mean=zeros, m2=zeros)

    @classmethod
    def of(cls, values: Tensor, *, shift: Tensor | None = None) -> "Moments":
        """Return the moments of `(B, F, ...)` over all axes but the second.

        The result lies on the device of the input (on the CPU for devices without float64) and holds no graph.

        Args:
            values: any floating type and memory layout.
            shift: `(F,)`, constants near the means, such as those of the batches before; saves the pass that finds
                them. Within one deviation of the means they change nothing that 1e-6 would show.

        Raises:
            DataError: the input has fewer than two axes or no values.
        """
        if values.ndim < 2 or values.numel() == 0:
            raise DataError(
                f"moments need values of shape (B, F, ...); got {tuple(values.shape)}; give at least one row"
            )
        values = values.detach()
        channels = values.shape[1]
        axes = [0, *range(2, values.ndim)]
        count = values.numel() // channels
        if shift is None:
            centre = values.sum(axes, keepdim=True, dtype=single_or_wider(values)) / count
        else:
            centre = shift.to(values.device, single_or_wider(values)).view(1, channels, *(1,) * (values.ndim - 2))
        total, squares = _blockwise_sums(values, centre, axes)
        return cls(
            count=count, mean=_double(centre).flatten() + total / count, m2=(squares - total**2 / count).clamp_(min=0.0)
        )

    def merge(self, other: "Moments") -> "Moments":
        """Return the moments of both data sets together."""
        count = self.count + other.count
        if not self.count or not other.count:
            return self if self.count else other
        device = self.mean.device
        delta = other.mean.to(device) - self.mean
        return Moments(
            count=count,
            mean=self.mean + delta * (other.count / count),
            m2=self.m2 + other.m2.to(device) + delta**2 * (self.count * other.count / count),
        )

    @property
    def variance(self) -> Tensor:
        """Biased variance, float64 `(F,)`."""
        return self.m2 / max(self.count, 1)


class LayerMoments:
    """Moments of what enters each of several layers, merged batch by batch: give `take` to a tap."""

    def __init__(self) -> None:
        self._layers: dict[int, Moments] = {}

    def take(self, layer: int, values: Tensor) -> None:
        """Merge values `(B, F, ...)` into the moments of layer number `layer`."""
        before = self._layers.get(layer)
        latest = Moments.of(values, shift=None if before is None else before.mean)
        self._layers[layer] = latest if before is None else before.merge(latest)

    @property
    def widths(self) -> list[int]:
        """Channels of each layer, in order."""
        return [len(moments.mean) for moments in self._ordered()]

    def tensors(self) -> dict[str, Tensor]:
        """Return `mean` and `variance`, float64 `(F,)` each on the CPU, the layers side by side."""
        layers = self._ordered() or [Moments.empty(0)]
        return {
            "mean": torch.cat([moments.mean for moments in layers]).cpu(),
            "variance": torch.cat([moments.variance for moments in layers]).cpu(),
        }

    def _ordered(self) -> list[Moments]:
        return [self._layers[layer] for layer in sorted(self._layers)]


def single_or_wider(values: Tensor) -> torch.dtype:
    """Return the floating type that sums of the values are taken in."""
    return torch.promote_types(values.dtype, torch.float32)


def shifted_sums(values: Tensor, shift: Tensor, axes: list[int]) -> tuple[Tensor, Tensor]:
    """Return the sums over `axes`, at least one, of `values − shift` and of its square, in the wider of both types."""
    centred = values - shift
    return centred.sum(axes), centred.square_().sum(axes)


def _blockwise_sums(values: Tensor, shift: Tensor, axes: list[int]) -> tuple[Tensor, Tensor]:
    """Return `shifted_sums`, `(F,)`, added up block by block in float64."""
    rows = len(values) if values.device.type != "cpu" else max(1, _BLOCK * len(values) // values.numel())
    total = squares = torch.zeros((), dtype=torch.float64)
    for block in values.split(rows):
        first, second = shifted_sums(block, shift, axes)
        total, squares = _double(first) + total, _double(second) + squares
    return total, squares


def _double(tensor: Tensor) -> Tensor:
    """Return the tensor in float64, on the CPU if its device has none."""
    return tensor.cpu().double() if tensor.device.type == "mps" else tensor.double()
