"""From pixels to what a network sees: central crop, normalisation, views."""

from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from wmdd.context import sent
from wmdd.data.loading import centre_crop, to_float
from wmdd.data.views import compose_views, has_cutmix, reorder_tiles
from wmdd.mapped import taken
from wmdd.values import DistilledSet, Views


class InputForm(Protocol):
    """What a network expects of its inputs, as a teacher, a distilled set or a `Normalisation` has it."""

    @property
    def image_size(self) -> int:
        """Side R."""
        ...

    @property
    def mean(self) -> tuple[float, ...]:
        """Per channel, of pixels in [0, 1]."""
        ...

    @property
    def std(self) -> tuple[float, ...]:
        """Per channel."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalisation:
    """The input form of a network that is still in training."""

    image_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


def network_inputs(pixels: Tensor, form: InputForm) -> Tensor:
    """Return the central R x R of uint8 images `(B, ch, S, S)`, normalised: float32 `(B, ch, R, R)`."""
    return to_float(centre_crop(pixels, form.image_size), form.mean, form.std)


def distilled_inputs(distilled: DistilledSet, rows: Tensor | slice, device: torch.device) -> Tensor:
    """Return images of the set as networks see them: float32 `(B, ch, R, R)`, normalised, on `device`.

    They are the exact ones where the set has them, else the pixels.
    """
    if distilled.exact is not None:
        return sent(taken(distilled.exact, rows), device)
    return to_float(sent(taken(distilled.images, rows), device), distilled.mean, distilled.std)


def in_form_of(distilled: DistilledSet, form: InputForm) -> DistilledSet:
    """Return the set in the normalisation of `form`: that of another teacher than the one it was made for.

    In another normalisation it has no whitening, which is for its own students.
    """
    if (distilled.mean, distilled.std) == (form.mean, form.std):
        return distilled
    exact = distilled.exact
    if exact is not None:
        mean, std, new_mean, new_std = (
            torch.tensor(values, dtype=torch.float32).view(-1, 1, 1)
            for values in (distilled.mean, distilled.std, form.mean, form.std)
        )
        exact = (exact * std + mean - new_mean) / new_std
    return replace(distilled, mean=form.mean, std=form.std, exact=exact, whitening=None)


def view_inputs(distilled: DistilledSet, views: Views, device: torch.device, orders: Tensor | None = None) -> Tensor:
    """Return what a network sees under `views`: float32 `(B, ch, R, R)`, normalised, on `device`.

    `orders` `(M, n²)` gives the order of the n x n tiles of each image of the set before its view is taken; None =
    unchanged.
    """

    def fetch(rows: Tensor) -> Tensor:
        images = distilled_inputs(distilled, rows, device)
        return images if orders is None else reorder_tiles(images, orders[rows])

    partners = fetch(views.partner) if has_cutmix(views) else None
    return compose_views(fetch(views.index), partners, views, distilled.image_size)
