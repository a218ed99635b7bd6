"""From a group's images to what all terms of the loss share: views, drawn anew in each step, and the teacher's pass."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wmdd.context import Context
from wmdd.data.views import concatenate, crop_and_flip, draw_views
from wmdd.models.differentiable_moments import MomentTap, batchnorm_moments
from wmdd.models.taps import tap_features
from wmdd.settings import OptimisationSettings, RecoverSettings, ViewSettings
from wmdd.stages.recovery.groups import Group, Targets
from wmdd.values import Views


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """What every forward pass of a group yields."""

    step: int
    """From 0."""
    views: Tensor
    """`(G·K, ch, R, R)`: the views of the images that the teacher is given."""
    logits: Tensor
    """float32 `(G·K, C)`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherForward(Forward):
    """A pass through one teacher."""

    features: Tensor
    """float32 `(G·K, D)`."""
    moments: tuple[Tensor, Tensor] | None
    """Weighted means and variances of the BatchNorm layers' inputs, `(G', F)` each; None where no term needs them."""


def teacher_forward(
    model: nn.Module, views: Tensor, targets: Targets, settings: RecoverSettings, *, step: int, ctx: Context
) -> TeacherForward:
    """Pass the views `(G·K, ch, R, R)` of a group's images in a step through the teacher."""
    wanted = batchnorm_weight(settings) != 0
    context = batchnorm_moments(model, targets.weights) if wanted else tap_features(model)
    with context as tap, ctx.autocast():
        logits = model(views.contiguous(memory_format=torch.channels_last)).float()
    moments = (tap.means, tap.variances) if isinstance(tap, MomentTap) else None
    return TeacherForward(step=step, views=views, logits=logits, features=tap.features.float(), moments=moments)


def batchnorm_weight(settings: RecoverSettings) -> float:
    """Return lambda, the weight of the BatchNorm term; 0 = the moments are not taken."""
    return 0.0 if settings.bn == "none" else settings.bn_weight


def step_views(images: Tensor, group: Group, step: int, settings: OptimisationSettings, ctx: Context) -> Tensor:
    """Return the views in a step of a group's images, both `(G·K, ch, R, R)`."""
    size = images.shape[-1]
    drawn = draw_step_views(size, group, step, settings, ctx)
    views = crop_and_flip(images, drawn.crop, drawn.flip, size)
    if settings.roll == 0:
        return views
    offsets = torch.randint(settings.roll + 1, (2,), generator=ctx.generator("roll", step)).tolist()
    return views.roll(tuple(offsets), dims=(2, 3))  # the same for all images, as in SRe2L's code


def draw_step_views(size: int, group: Group, step: int, settings: OptimisationSettings, ctx: Context) -> Views:
    """Draw the views of one step: per image from each class's own stream; one for all in the reference form."""
    views = ViewSettings(crop_min=smallest_crop(settings, step), flip=settings.flip)
    if settings.shared_view:
        total = group.ipc * len(group.labels)
        generator = ctx.generator("views", *group.stream(group.labels[0]), step)
        one = draw_views(torch.zeros(1, dtype=torch.int64), size, size, views, generator)
        return concatenate([one] * total)
    index = torch.arange(group.ipc)
    streams = [ctx.generator("views", *group.stream(label), step) for label in group.labels]
    return concatenate([draw_views(index, size, size, views, generator) for generator in streams])


def smallest_crop(settings: OptimisationSettings, step: int) -> float:
    """Return the smallest share of the area that a crop keeps in a step, counted from 0.

    Curriculum of CDA (arXiv:2311.18838): from 1 to e = `curriculum_end` while p goes from 0 to 1 at the milestone.
    Cosine: e + (1 - e)(1 + cos(pi p)) / 2. Linear: 1 - (1 - e) p. Step: 1 before the milestone, e from there on.
    """
    if settings.curriculum == "none":
        return settings.crop_min
    done = min(1.0, step / (settings.curriculum_milestone * settings.iterations))
    left = {"cosine": (1 + math.cos(math.pi * done)) / 2, "linear": 1 - done, "step": float(done < 1)}
    return settings.curriculum_end + (1 - settings.curriculum_end) * left[settings.curriculum]
