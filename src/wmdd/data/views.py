"""Views: random crops, flips and CutMix of images, drawn first and applied later, so that they can be replayed exactly.

`draw_views` makes the numbers (crop, flip, CutMix box), `compose_views` the pixels. A row of `Views` is
self-contained: it gives the same pixels in any batch, in any order and, up to rounding, on any device.

Shapes: `B` views · `M` images · `ch` channels · `S` side of the canvas · `R` side of the view (`size`).
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from wmdd.context import sent
from wmdd.data.loading import shuffled
from wmdd.settings import ViewSettings
from wmdd.values import Views

_TRIES = 10
_LOG_RATIO = float(np.log(4 / 3))


def draw_views(index: Tensor, canvas: int, size: int, settings: ViewSettings, generator: torch.Generator) -> Views:
    """Draw one random view of each image of a batch.

    Crops follow torchvision's `RandomResizedCrop`, boxes its `CutMix`, except that every image has its own box, flip
    and lambda. The partners are the batch in a random order, each with its own crop and flip.

    Args:
        index: int64 `(B,)`, positions of the images in their set.
        canvas: S, side of the stored images; crops are measured in its pixels.
        size: R, side of the view; CutMix boxes are measured in its pixels.
        settings: the distribution of views.
        generator: the only source of randomness; equal generators give equal views.

    Returns:
        B rows on the CPU.
    """
    index = index.cpu()
    count = len(index)
    crop = _draw_crops(count, canvas, settings.crop_min, generator)
    flip = torch.rand(count, generator=generator) < 0.5 if settings.flip else torch.zeros(count, dtype=torch.bool)
    order = torch.arange(count)
    patch = torch.zeros(count, 4, dtype=torch.int16)
    if settings.cutmix > 0:
        order = torch.randperm(count, generator=generator)
        patch = _draw_cutmix_boxes(count, size, settings.cutmix, generator)
    return Views(
        index=index,
        crop=crop,
        flip=flip,
        partner=index[order],
        partner_crop=crop[order],
        partner_flip=flip[order],
        patch=patch,
    )


def epoch_views(
    num_images: int,
    batch: int,
    canvas: int,
    size: int,
    settings: ViewSettings,
    *,
    generator_for: Callable[[int], torch.Generator],
    shuffle: torch.Generator,
) -> Views:
    """Draw the views of one epoch: every image once, in random order, batch by batch.

    Args:
        num_images: M.
        batch: images per step; the last step may have fewer, or one more (`batch_spans`).
        canvas: S.
        size: R.
        settings: the distribution of views.
        generator_for: returns the random stream of a batch by its number; a batch's views depend on nothing else.
        shuffle: random stream of the order.

    Returns:
        M rows in training order; step b has the rows of `batch_spans(M, batch)[b]`.
    """
    batches = shuffled(num_images, batch, shuffle)
    return concatenate([draw_views(rows, canvas, size, settings, generator_for(b)) for b, rows in enumerate(batches)])


def compose_views(images: Tensor, partners: Tensor | None, views: Views, size: int) -> Tensor:
    """Return the pixels of B views, `(B, ch, R, R)`, differentiable with respect to `images` and `partners`.

    Args:
        images: `(B, ch, S, S)`, floating point: row i is the image `views.index[i]`.
        partners: `(B, ch, S, S)`: row i is the image `views.partner[i]`; None if `has_cutmix(views)` is false.
        views: B rows.
        size: R.
    """
    own = crop_and_flip(images, views.crop, views.flip, size)
    if partners is None:
        return own
    other = crop_and_flip(partners, views.partner_crop, views.partner_flip, size)
    return torch.where(cutmix_mask(sent(views.patch, own.device), size)[:, None], other, own)


def crop_and_flip(images: Tensor, crop: Tensor, flip: Tensor, size: int, *, reflect: bool = False) -> Tensor:
    """Cut each image's own box, resize it and mirror it if `flip`: `(B, ch, R, R)`, differentiable in `images`.

    Equals torchvision's `resized_crop(..., antialias=False)` followed by `hflip`: bilinear, half-pixel centres, and
    nothing is sampled from outside the box.

    Args:
        images: `(B, ch, S, S)`, floating point.
        crop: `(B, 4)`, (top, left, height, width) in pixels of `images`.
        flip: bool `(B,)`.
        size: R.
        reflect: whether the image goes on as its mirror image where a box lies beyond it, edge pixel beside edge pixel;
            else as its edge.
    """
    top, left, height, width = sent(crop, images.device, images.dtype).unbind(1)
    rows = _sample_points(top, height, size, images.shape[-2])
    columns = _sample_points(left, width, size, images.shape[-1])
    columns = torch.where(sent(flip, images.device)[:, None], columns.flip(1), columns)
    grid = torch.stack([columns[:, None, :].expand(-1, size, -1), rows[:, :, None].expand(-1, -1, size)], dim=-1)
    padding = "reflection" if reflect else "border"
    return F.grid_sample(images, grid, mode="bilinear", padding_mode=padding, align_corners=False)


def spread_boxes(crop: Tensor, canvas: int, generator: torch.Generator) -> Tensor:
    """Return boxes of the same sides, float64 `(B, 4)`, placed so that every pixel is seen equally often on average.

    The centre of a box is uniform over the canvas, so up to half of a side lies outside, where `crop_and_flip` mirrors
    the image (`reflect`): the mirrored part makes up for exactly what boxes inside the image miss at its border. A side
    as long as the canvas covers all of it and stays where it is.

    Args:
        crop: `(B, 4)`, (top, left, height, width) in pixels.
        canvas: side of the images in pixels.
        generator: the only source of randomness.
    """
    sides = crop[:, 2:].double()
    corner = torch.rand(len(crop), 2, dtype=torch.float64, generator=generator) * canvas - sides / 2
    return torch.cat([torch.where(sides < canvas, corner, 0.0), sides], dim=1)


def cutmix_mask(boxes: Tensor, size: int) -> Tensor:
    """Return bool `(B, R, R)`: true where a view shows its partner, from CutMix boxes `(B, 4)`."""
    top, left, height, width = boxes.long().unbind(1)
    at = torch.arange(size, device=boxes.device)
    rows = (at >= top[:, None]) & (at < (top + height)[:, None])
    columns = (at >= left[:, None]) & (at < (left + width)[:, None])
    return rows[:, :, None] & columns[:, None, :]


def reorder_tiles(images: Tensor, orders: Tensor) -> Tensor:
    """Return images with permuted n x n square tiles: tile `orders[b, i]` moves to position i (RDED).

    Args:
        images: `(B, ch, R, R)`; rows and columns beyond n tiles of R // n pixels stay where they are.
        orders: int64 `(B, n²)`, a permutation in each row; positions are counted row by row.
    """
    count = math.isqrt(orders.shape[1])
    side = images.shape[-1] // count
    size = count * side
    shape = (len(images), -1, count, side, count, side)
    tiles = images[..., :size, :size].reshape(shape).transpose(3, 4).flatten(2, 3)  # (B, ch, n², side, side)
    moved = torch.take_along_dim(tiles, sent(orders, images.device)[:, None, :, None, None], dim=2)
    whole = images.clone()
    whole[..., :size, :size] = moved.unflatten(2, (count, count)).transpose(3, 4).reshape(*images.shape[:2], size, size)
    return whole


def cutmix_share(views: Views, size: int) -> Tensor:
    """Return float32 `(B,)`: share of each view's area that shows its partner (1 - lambda of CutMix)."""
    return views.patch[:, 2].float() * views.patch[:, 3].float() / size**2


def has_cutmix(views: Views) -> bool:
    """Tell whether any view shows a part of its partner."""
    return bool(((views.patch[:, 2] > 0) & (views.patch[:, 3] > 0)).any())


def concatenate(parts: Sequence[Views]) -> Views:
    """Return one `Views` with the rows of all parts, in order."""
    return Views(**{name: torch.cat([getattr(part, name) for part in parts]) for name in Views.__slots__})


def _draw_crops(count: int, canvas: int, crop_min: float, generator: torch.Generator) -> Tensor:
    """Draw int16 `(B, 4)` boxes by torchvision's rule: the first of ten tries that fits, else the whole square.

    With `crop_min` = 1 a try fits only if it rounds to the whole square, so the result is always the whole square.
    """
    # Always the same amount of randomness, so that later draws do not depend on the number of tries.
    draws = torch.rand(count, 2, _TRIES, dtype=torch.float64, generator=generator)
    places = torch.rand(count, 2, dtype=torch.float64, generator=generator)
    area = canvas**2 * (crop_min + (1 - crop_min) * draws[:, 0])
    ratio = torch.exp((2 * draws[:, 1] - 1) * _LOG_RATIO)
    sides = torch.stack([(area / ratio).sqrt(), (area * ratio).sqrt()], dim=2).round()  # (B, tries, 2): height, width
    fits = ((sides > 0) & (sides <= canvas)).all(dim=2)
    first = fits.byte().argmax(dim=1)
    chosen = sides[torch.arange(count), first]
    chosen = torch.where(fits.any(dim=1)[:, None], chosen, torch.full_like(chosen, canvas))
    corner = (places * (canvas - chosen + 1)).floor()
    return torch.cat([corner, chosen], dim=1).to(torch.int16)


def _draw_cutmix_boxes(count: int, size: int, alpha: float, generator: torch.Generator) -> Tensor:
    """Draw int16 `(B, 4)` CutMix boxes (Yun et al. 2019, eq. 2): sides sqrt(1 - lambda), uniform centre, clipped."""
    kept = _draw_beta(count, alpha, generator)
    centre = torch.randint(size, (count, 2), generator=generator)
    half = (0.5 * (1 - kept).sqrt() * size).long()[:, None]
    start = (centre - half).clamp(min=0)
    stop = (centre + half).clamp(max=size)
    return torch.cat([start, stop - start], dim=1).to(torch.int16)


def _draw_beta(count: int, alpha: float, generator: torch.Generator) -> Tensor:
    """Draw float64 `(B,)` from Beta(alpha, alpha) with NumPy, seeded by the stream: torch's Beta takes no generator."""
    seed = int(torch.randint(2**63 - 1, (), generator=generator))
    return torch.from_numpy(np.random.default_rng(seed).beta(alpha, alpha, size=count))


def _sample_points(start: Tensor, length: Tensor, size: int, side: int) -> Tensor:
    """Return `(B, R)`: where to sample one axis of `side` pixels, in `grid_sample`'s units, for `(B,)` intervals."""
    step = (torch.arange(size, device=start.device, dtype=start.dtype) + 0.5) / size
    inside = (step * length[:, None] - 0.5).clamp(min=0).minimum(length[:, None] - 1)
    return (2 * (start[:, None] + inside) + 1) / side - 1
