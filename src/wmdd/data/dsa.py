"""Differentiable Siamese augmentation (DSA): random changes of whole batches through which gradients pass.

Zhao and Bilen, ICML 2021 (arXiv:2102.08259). `draw_dsa` makes the numbers, `apply_dsa` makes the pixels and draws
nothing; so whoever has the parameters repeats the same change on another batch. Differs from the reference code, which
shares a draw by seeding the global stream anew for each batch, and thereby disturbs everything else that draws.

All operations act on normalised images: what comes in from outside is zero, the mean of the data set.

Shapes: `B` images · `ch` channels · `R` side · `n` rows of parameters, 1 or B.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from wmdd.context import sent
from wmdd.settings import strategy_groups

_BRIGHTNESS = 1.0
_SATURATION = 2.0
_CONTRAST = 0.5
_SHIFT = 0.125
_HOLE = 0.5
_SCALE = 1.2
_DEGREES = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DsaParameters:
    """One group of operations with its parameters."""

    group: str
    """One of `wmdd.settings.DSA_GROUPS`, or `"none"`."""
    values: Tensor
    """float32 `(n, P)` on the CPU, P by group: color (offset, two factors), crop (rows, columns), cutout (row, column
    of the centre), flip (0 or 1), scale (factors of width and height), rotate (radians)."""


def draw_dsa(strategy: str, side: int, rows: int, generator: torch.Generator) -> DsaParameters:
    """Draw one group of a strategy, uniformly, and its parameters.

    Args:
        strategy: Such as `crop_flip`, or `none`.
        side: R, side of the images.
        rows: 1 = one draw for all images of any number of batches (Siamese); B = each image of a batch has its own.
        generator: The only source of randomness.

    Raises:
        ValueError: the strategy names an unknown group.
    """
    groups = strategy_groups(strategy)
    if not groups:
        return DsaParameters(group="none", values=torch.zeros(rows, 0))
    group = groups[int(torch.randint(len(groups), (), generator=generator))]
    return DsaParameters(group=group, values=_OPERATIONS[group][0](side, rows, generator))


def apply_dsa(images: Tensor, parameters: DsaParameters) -> Tensor:
    """Return the images changed, same shape, differentiable with respect to `images`.

    Args:
        images: `(B, ch, R, R)`, normalised, floating point.
        parameters: of one row, for all images alike, or of B rows.
    """
    if parameters.group == "none":
        return images
    return _OPERATIONS[parameters.group][1](images, sent(parameters.values, images.device, images.dtype))


def _draw_color(side: int, rows: int, generator: torch.Generator) -> Tensor:
    del side
    uniform = torch.rand(rows, 3, generator=generator)
    scale = torch.tensor([_BRIGHTNESS, _SATURATION, 1.0])
    return uniform * scale + torch.tensor([-_BRIGHTNESS / 2, 0.0, _CONTRAST])


def _color(images: Tensor, values: Tensor) -> Tensor:
    """Brightness, then saturation about each pixel's mean over channels, then contrast about each image's mean."""
    offset, saturation, contrast = (column.view(-1, 1, 1, 1) for column in values.unbind(1))
    images = images + offset
    grey = images.mean(1, keepdim=True)
    images = (images - grey) * saturation + grey
    mean = images.mean((1, 2, 3), keepdim=True)
    return (images - mean) * contrast + mean


def _draw_crop(side: int, rows: int, generator: torch.Generator) -> Tensor:
    most = int(_SHIFT * side + 0.5)
    return torch.randint(-most, most + 1, (rows, 2), generator=generator).float()


def _crop(images: Tensor, values: Tensor) -> Tensor:
    """Shift by whole rows and columns: the crop of an image with a margin of zeros."""
    for dim, offset in zip((2, 3), values.unbind(1), strict=True):
        place = torch.arange(images.shape[dim], device=images.device) + offset[:, None].long()
        inside = (place >= 0) & (place < images.shape[dim])
        shape = [len(place), 1, 1, 1]
        shape[dim] = images.shape[dim]
        taken = torch.take_along_dim(images, place.clamp(0, images.shape[dim] - 1).view(shape), dim)
        images = taken * inside.view(shape)
    return images


def _draw_cutout(side: int, rows: int, generator: torch.Generator) -> Tensor:
    hole = int(_HOLE * side + 0.5)
    return torch.randint(side + 1 - hole % 2, (rows, 2), generator=generator).float()


def _cutout(images: Tensor, values: Tensor) -> Tensor:
    """Set a square to zero; at the border it is cut off."""
    side = images.shape[-1]
    hole = int(_HOLE * side + 0.5)
    start = (values - hole // 2)[:, :, None]
    place = torch.arange(side, device=images.device)
    inside = (place >= start) & (place < start + hole)  # (n, 2, R)
    return images * ~(inside[:, 0, :, None] & inside[:, 1, None, :])[:, None]


def _draw_flip(side: int, rows: int, generator: torch.Generator) -> Tensor:
    del side
    return (torch.rand(rows, 1, generator=generator) < 0.5).float()


def _flip(images: Tensor, values: Tensor) -> Tensor:
    """Mirror left and right where the value is 1."""
    return torch.where(values.view(-1, 1, 1, 1) > 0.5, images.flip(3), images)


def _draw_scale(side: int, rows: int, generator: torch.Generator) -> Tensor:
    del side
    return torch.rand(rows, 2, generator=generator) * (_SCALE - 1 / _SCALE) + 1 / _SCALE


def _scale(images: Tensor, values: Tensor) -> Tensor:
    """Look at a region that is wider and higher by the factors: above 1 the object shrinks."""
    return _warp(images, torch.diag_embed(values))


def _draw_rotate(side: int, rows: int, generator: torch.Generator) -> Tensor:
    del side
    return (torch.rand(rows, 1, generator=generator) * 2 - 1) * math.radians(_DEGREES)


def _rotate(images: Tensor, values: Tensor) -> Tensor:
    """Turn about the centre."""
    cosine, sine = values[:, 0].cos(), values[:, 0].sin()
    return _warp(images, torch.stack([torch.stack([cosine, -sine], 1), torch.stack([sine, cosine], 1)], 1))


def _warp(images: Tensor, matrix: Tensor) -> Tensor:
    """Sample the images bilinearly where `matrix` `(n, 2, 2)` takes the pixels' centres; zero outside."""
    matrix = F.pad(matrix, (0, 1)).expand(len(images), 2, 3)
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


_OPERATIONS: dict[str, tuple[Callable[[int, int, torch.Generator], Tensor], Callable[[Tensor, Tensor], Tensor]]] = {
    "color": (_draw_color, _color),
    "crop": (_draw_crop, _crop),
    "cutout": (_draw_cutout, _cutout),
    "flip": (_draw_flip, _flip),
    "scale": (_draw_scale, _scale),
    "rotate": (_draw_rotate, _rotate),
}
"""Group → what draws its parameters, what applies them."""
