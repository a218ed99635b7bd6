"""Logits in 8 bits: each row has a scale and an offset of its own, and the largest logits may stand for all.

A code c from 0 to 255 is the logit offset + scale c. Offset and scale are rounded to float16 away from the logits, the
offset down and the scale up, so that every logit lies in the range and is off by at most scale / 2.
Top-k logits before the softmax: LPQLD (arXiv:2604.18135), there in 16 bits and without a rest.
"""

import torch
from torch import Tensor

from wmdd.values.labels import EpochLabels, Views

_LEVELS = 255
_INT16 = 32_767


def keep_largest(views: Views, logits: Tensor, count: int) -> EpochLabels:
    """Return labels that keep the `count` largest of the `(M, C)` logits in 8 bits, and the mean of the others.

    All are kept, in order, if they take no more bytes than the largest with their classes.
    """
    total = logits.shape[1]
    if label_bytes(total, count) == label_bytes(total, total):
        codes, scale, offset = quantise(logits)
        return EpochLabels(views=views, logits=codes, scale=scale, offset=offset)
    largest, classes = logits.topk(count, dim=1)
    rest = (logits.sum(dim=1) - largest.sum(dim=1)) / (total - count)
    codes, scale, offset = quantise(largest)
    narrow = torch.int16 if total <= _INT16 else torch.int32
    return EpochLabels(
        views=views, logits=codes, classes=classes.to(narrow), rest=rest.half(), scale=scale, offset=offset
    )


def quantise(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return uint8 codes `(M, k)`, float16 scales `(M,)` and offsets `(M,)` of `(M, k)` values within float16's range.

    `dequantise` of these differs from the values by at most half a scale.
    """
    values = values.double()
    low, high = values.amin(dim=1), values.amax(dim=1)
    offset = _rounded(low, down=True)
    scale = _rounded((high - offset.double()) / _LEVELS, down=False)
    step = scale.double().clamp(min=torch.finfo(torch.float64).tiny)[:, None]
    codes = ((values - offset.double()[:, None]) / step).round().clamp(0, _LEVELS)
    return codes.to(torch.uint8), scale, offset


def dequantise(codes: Tensor, scale: Tensor, offset: Tensor) -> Tensor:
    """Return the float32 values `(M, k)` of codes."""
    return offset.float()[:, None] + scale.float()[:, None] * codes.float()


def label_bytes(classes: int, kept: int | None) -> int:
    """Return bytes of a view's answers: of all logits in float16 for None, else in 8 bits, of the `kept` largest."""
    if kept is None:
        return 2 * classes
    return min(classes + 4, kept * (3 if classes <= _INT16 else 5) + 6)


def _rounded(values: Tensor, *, down: bool) -> Tensor:
    """Return float64 values as float16, rounded down or up."""
    half = values.half()
    beyond = half.double() > values if down else half.double() < values
    limit = torch.full_like(half, -torch.inf if down else torch.inf)
    return torch.where(beyond, torch.nextafter(half, limit), half)
