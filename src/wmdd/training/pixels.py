"""Images under optimisation: where they start, how far their values go, and the pixels and the set they end as."""

from collections.abc import Iterable

import torch
from torch import Tensor

from wmdd.context import Context, sent
from wmdd.data.inputs import network_inputs
from wmdd.values import DistilledSet, ImageSet, Teacher


def start_images(
    train: ImageSet, teacher: Teacher, labels: Iterable[int], ipc: int, *, start: str, ctx: Context, first: int = 0
) -> Tensor:
    """Return `ipc` images of each of some classes to start from, float32 `(G·K, ch, R, R)`, normalised.

    `start` is `"noise"` (standard normal) or `"real"` (drawn without replacement); a class's draw is its own. If the
    images are not the first of their class, `first` is the number of those before them.
    """
    side, parts = teacher.spec.image_size, []
    for label in labels:
        generator = ctx.generator("start", label)
        if start == "noise":
            generator = ctx.generator("start", label, first) if first else generator
            parts.append(torch.randn(ipc, teacher.spec.channels, side, side, generator=generator))
        else:
            members = train.of_class(label)
            chosen = members[torch.randperm(len(members), generator=generator)[first : first + ipc]]
            parts.append(network_inputs(train.images.fetch(chosen.tolist()), teacher))
    return torch.cat(parts)


def pixel_limits(teacher: Teacher, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return black and white in normalised pixels, `(1, ch, 1, 1)` each."""
    mean, std = _normalisation(teacher, device)
    return -mean / std, (1 - mean) / std


def to_pixels(images: Tensor, teacher: Teacher) -> Tensor:
    """Return normalised images as uint8 on the CPU, rounded to nearest (the reference code truncates)."""
    mean, std = _normalisation(teacher, images.device)
    return ((images * std + mean).clamp(0, 1) * 255).round().to(torch.uint8).cpu().contiguous()


def _normalisation(teacher: Teacher, device: torch.device) -> list[Tensor]:
    return [sent(torch.tensor(values).view(1, -1, 1, 1), device) for values in (teacher.mean, teacher.std)]


def class_labels(num_classes: int, ipc: int) -> Tensor:
    """Return the labels of images that lie class by class, int64 `(C · ipc,)`."""
    return torch.arange(num_classes).repeat_interleave(ipc)


def class_major_set(
    method: str, images: Tensor, teacher: Teacher, *, weights: Tensor | None = None, exact: Tensor | None = None
) -> DistilledSet:
    """Return the set of images, uint8 `(M, ch, R, R)`, that lie class by class, as many of each.

    `weights` are those of the images in their classes, `(M,)`, equal if None; `exact` are the images before rounding.
    """
    classes = len(teacher.classes)
    equal = torch.full((len(images),), classes / len(images))
    return DistilledSet(
        method=method,
        images=images,
        labels=class_labels(classes, len(images) // classes),
        weights=equal if weights is None else weights,
        classes=teacher.classes,
        mean=teacher.mean,
        std=teacher.std,
        exact=exact,
    )


def unbounded_set(method: str, images: Tensor, teacher: Teacher) -> DistilledSet:
    """Return the set of images `(M, ch, R, R)` that were optimised in normalised pixels without bounds.

    They are class-major and all of equal weight, and are kept twice: exactly, and clipped and rounded.
    """
    return class_major_set(method, to_pixels(images, teacher), teacher, exact=images.float().cpu().contiguous())
