"""How a group of images is optimised under a teacher: Adam, cosine to zero, clipped to the range of pixels."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from wmdd.context import Context
from wmdd.settings import OptimisationSettings
from wmdd.stages.recovery.matching import Group
from wmdd.training.images import Carried, Descent, Variable, Variables, optimise
from wmdd.training.pixels import class_major_set, pixel_limits, start_images, to_pixels
from wmdd.values import DistilledSet, ImageSet, Teacher

BETAS = (0.5, 0.9)


class StepLoss(Protocol):
    """Loss of one step and its terms."""

    @property
    def total(self) -> Tensor:
        """What is minimised."""
        ...

    def figures(self) -> dict[str, float]:
        """Return the terms as numbers for the log."""
        ...


class GroupLoss(Protocol):
    """Images `(G·K, ch, R, R)`, step from 0 → loss."""

    def __call__(self, images: Tensor, step: int) -> StepLoss:
        """Return the loss."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Inversion:
    """What all groups of a set have in common."""

    train: ImageSet
    teacher: Teacher
    """Whose normalisation the images have."""
    settings: OptimisationSettings
    groups: tuple[Group, ...]
    ctx: Context

    def start(self, group: Group) -> Tensor:
        """Return the images that a group starts from, on the device."""
        images = start_images(
            self.train,
            self.teacher,
            group.labels,
            group.ipc,
            start=self.settings.start,
            ctx=self.ctx,
            first=group.first,
        )
        return images.to(self.ctx.device, memory_format=torch.channels_last)


def group_classes(num_classes: int, ipc: int, batch: int) -> list[tuple[int, ...]]:
    """Return the labels that are optimised together: as many whole classes as fit in `batch` images, at least one."""
    size = max(1, batch // ipc)
    return [tuple(range(first, min(first + size, num_classes))) for first in range(0, num_classes, size)]


class _Watched:
    """A loss as `optimise` wants it, which remembers its latest terms."""

    def __init__(self, loss: GroupLoss) -> None:
        self._loss = loss
        self._latest: StepLoss | None = None

    def __call__(self, iteration: int, variables: Variables) -> Tensor:
        self._latest = self._loss(variables["images"], iteration)
        return self._latest.total

    def figures(self) -> dict[str, float]:
        """Return the terms of the latest step."""
        return {} if self._latest is None else self._latest.figures()


def invert_groups(
    job: Inversion,
    method: str,
    begin: Callable[[Group, Tensor], tuple[GroupLoss, Carried | None]],
    *,
    weights: Tensor,
) -> DistilledSet:
    """Return the set that all groups make up, one group after the other.

    Args:
        job: what they have in common.
        method: name that the set carries.
        begin: a group and the images it starts from → its loss, and what that carries from step to step.
        weights: of the images in their classes, `(C, K)`.
    """
    num_classes, ipc = weights.shape
    side, channels = job.teacher.spec.image_size, job.teacher.spec.channels
    images = torch.empty(num_classes, ipc, channels, side, side, dtype=torch.uint8)
    for number, group in enumerate(job.groups):
        start = job.start(group)
        loss, carried = begin(group, start)
        pixels = _invert_group(job, group, number, loss, start=start, carried=carried)
        images[list(group.labels), group.first : group.first + group.ipc] = pixels.view(
            -1, group.ipc, *images.shape[2:]
        )
    return class_major_set(method, images.flatten(0, 1), job.teacher, weights=weights.flatten().float())


def _invert_group(
    job: Inversion, group: Group, number: int, loss: GroupLoss, *, start: Tensor, carried: Carried | None
) -> Tensor:
    """Return the images of group `number` as uint8 `(G·K, ch, R, R)`.

    Raises:
        NumericsError: the loss is not finite any more.
    """
    settings, watched = job.settings, _Watched(loss)
    black, white = pixel_limits(job.teacher, job.ctx.device)

    def clip(variables: Variables) -> None:
        torch.clamp_(variables["images"], black, white)

    later = f", from image {group.first}" if group.first else ""
    descent = Descent(
        unit=f"classes {group.labels[0]} to {group.labels[-1]}{later}",
        iterations=settings.iterations,
        optimiser=partial(torch.optim.Adam, betas=BETAS),
        schedule=lambda step: (1 + math.cos(math.pi * step / settings.iterations)) / 2,
        project=clip,
        carried=carried,
        advice="lower recover.lr or recover.bn_weight",
        figures=watched.figures,
        before=number * settings.iterations,
        total=len(job.groups) * settings.iterations,
    )
    images = optimise({"images": Variable(start=start, lr=settings.lr)}, watched, descent, ctx=job.ctx)["images"]
    return to_pixels(images, job.teacher)
