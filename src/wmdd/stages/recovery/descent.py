"""How groups of images are optimised under a teacher: Adam, cosine to zero, clipped to the range of pixels."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from wmdd.context import Context, every_unit
from wmdd.mapped import give_back
from wmdd.models.compiling import failures_told
from wmdd.settings import OptimisationSettings
from wmdd.stages.recovery.groups import Group
from wmdd.stages.recovery.loss import GroupLoss
from wmdd.stages.recovery.residuals import Residuals
from wmdd.training.divergence import Rise, warn_of_rises
from wmdd.training.images import Descent, Losses, Variable, Variables, optimise
from wmdd.training.pixels import class_major_set, pixel_limits, start_images, to_pixels
from wmdd.values import DistilledSet, ImageSet, Teacher

LossOf = Callable[[Group], GroupLoss[Any]]
"""Group → its loss."""
BETAS = (0.5, 0.9)
ADVICE = "lower recover.lr or recover.bn_weight"
"""Against a loss that rises or is not finite, for those whose settings are called `recover`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What all groups of a set have in common."""

    train: ImageSet
    teacher: Teacher
    """Whose normalisation the images have."""
    settings: OptimisationSettings
    groups: tuple[Group, ...]
    ctx: Context
    start_of: Callable[[Group], Tensor] | None = None
    """What a group starts from, normalised `(G·K, ch, R, R)`; None = as `settings.start` says."""
    advice: str = ADVICE
    """What to do if the loss rises or is not finite."""
    optimiser: Callable[..., torch.optim.Optimizer] = torch.optim.Adam
    """Makes steps of the images; takes parameter groups and betas."""
    ema: float = 0.0
    """Decay of a moving average of the iterates, which is then the result; 0 = the last one is."""
    residuals: Residuals | None = None
    """Real images that are blended in on the way."""

    @property
    def parts(self) -> list[tuple[int, int]]:
        """The steps between residuals: first, and before the last."""
        count = 1 if self.residuals is None else self.residuals.count + 1
        bounds = [number * self.settings.iterations // count for number in range(count + 1)]
        return list(pairwise(bounds))


def recover_groups(recovery: Recovery, method: str, loss_of: LossOf, *, weights: Tensor) -> DistilledSet:
    """Return the set `method` that all groups make up, each a unit of work; `loss_of` gives the loss of each.

    `weights` are those of the images in their classes, `(C, K)`.

    Raises:
        NumericsError: the loss is not finite any more.
        ConfigError: the teacher cannot be compiled.
    """
    spec = recovery.teacher.spec
    images = recovery.ctx.scratch((*weights.shape, spec.channels, spec.image_size, spec.image_size), torch.uint8)
    rises: list[Rise] = []

    def make(number: int) -> None:
        group = recovery.groups[number]
        start = _start(recovery, group)
        with failures_told():
            found = _recover_group(recovery, number, loss_of, start, rises)
        pixels = found.view(-1, group.ipc, *images.shape[2:])
        images[list(group.labels), group.first : group.first + group.ipc] = pixels
        give_back(images)

    every_unit([_name(group) for group in recovery.groups], make, recovery.ctx)
    warn_of_rises(rises, len(recovery.groups) * len(recovery.parts), recovery.advice, recovery.ctx)
    return class_major_set(method, images.flatten(0, 1), recovery.teacher, weights=weights.flatten().float())


def _name(group: Group) -> str:
    """Return the name of a group's saved state and of its rows in the log."""
    later = f", from image {group.first}" if group.first else ""
    return f"classes {group.labels[0]} to {group.labels[-1]}{later}"


def _start(recovery: Recovery, group: Group) -> Tensor:
    if recovery.start_of is not None:
        images = recovery.start_of(group)
    else:
        images = start_images(
            recovery.train,
            recovery.teacher,
            group.labels,
            group.ipc,
            start=recovery.settings.start,
            ctx=recovery.ctx,
            first=group.first,
        )
    return images.to(recovery.ctx.device, memory_format=torch.channels_last)


def _recover_group(recovery: Recovery, number: int, loss_of: LossOf, start: Tensor, rises: list[Rise]) -> Tensor:
    """Return the images of group `number` as uint8 `(G·K, ch, R, R)`; `rises` takes up a loss that rose."""
    group, images = recovery.groups[number], start
    descent = _descent(recovery, number, rises)
    for part in recovery.parts:
        if part[0] > 0 and recovery.residuals is not None:
            images = recovery.residuals.blend(group, start, images)
        loss = loss_of(group)  # anew: what it carries from step to step ends with a part
        descent = replace(descent, carried=loss.carried, part=part if len(recovery.parts) > 1 else None)
        images = _optimise_images(recovery, images, loss, descent)
    return to_pixels(images, recovery.teacher)


def _descent(recovery: Recovery, number: int, rises: list[Rise]) -> Descent:
    """Return how the images of group `number` are optimised."""
    group, settings = recovery.groups[number], recovery.settings
    black, white = pixel_limits(recovery.teacher, recovery.ctx.device)

    def clip(variables: Variables) -> None:
        torch.clamp_(variables["images"], black, white)

    return Descent(
        unit=_name(group),
        iterations=settings.iterations,
        optimiser=partial(recovery.optimiser, betas=BETAS),
        schedule=lambda step: (1 + math.cos(math.pi * step / settings.iterations)) / 2,
        project=clip,
        ema=recovery.ema,
        advice=recovery.advice,
        rises=rises,
        before=number * settings.iterations,
        total=len(recovery.groups) * settings.iterations,
    )


def _optimise_images(recovery: Recovery, images: Tensor, loss: GroupLoss[Any], descent: Descent) -> Tensor:
    def of_step(iteration: int, variables: Variables) -> Losses:
        return loss(variables["images"], iteration)

    start = {"images": Variable(start=images, lr=recovery.settings.lr)}
    return optimise(start, of_step, descent, ctx=recovery.ctx)["images"]
