"""Views of whole images, and views of images that are all at hand."""

import torch
from torch import Tensor

from wmdd.data.views import compose_views, has_cutmix
from wmdd.values import Views


def full_views(index: Tensor, canvas: int) -> Views:
    """Return the views that show images `index` `(B,)` whole: no crop, no flip, no CutMix."""
    count = len(index)
    crop = torch.tensor([0, 0, canvas, canvas], dtype=torch.int16).expand(count, 4).clone()
    flip = torch.zeros(count, dtype=torch.bool)
    patch = torch.zeros(count, 4, dtype=torch.int16)
    return Views(index=index, crop=crop, flip=flip, partner=index, partner_crop=crop, partner_flip=flip, patch=patch)


def apply_views(canvas: Tensor, views: Views, size: int) -> Tensor:
    """Return the views of images that are all at hand.

    Args:
        canvas: `(M, ch, S, S)`, floating point; `views.index` counts its rows.
        views: What to show, B rows.
        size: R, side of the result.

    Returns:
        `(B, ch, R, R)` on the canvas's device, differentiable with respect to `canvas`.
    """
    images = canvas[views.index.to(canvas.device)]
    partners = canvas[views.partner.to(canvas.device)] if has_cutmix(views) else None
    return compose_views(images, partners, views, size)
