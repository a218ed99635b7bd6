"""What all terms of the loss share: the teacher's one pass over the views of a group's images in a step."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wmdd.context import Context
from wmdd.models.differentiable_moments import MomentTap, batchnorm_moments
from wmdd.models.taps import tap_features
from wmdd.settings import InversionSettings
from wmdd.stages.recovery.groups import Targets


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """What every forward pass of a group yields."""

    step: int
    """From 0."""
    views: Tensor
    """`(G·K, ch, R, R)`: the views of the images that the teacher is given."""
    images: Tensor | None = None
    """`(G·K, ch, R, R)`: the images themselves, for terms that look at them."""
    logits: Tensor
    """float32 `(G·K, C)`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherForward(Forward):
    """A pass through one teacher."""

    features: Tensor
    """float32 `(G·K, D)`."""
    moments: tuple[Tensor, Tensor] | None
    """Weighted means and variances of the BatchNorm layers' inputs, `(G', F)` each, a row for each pool of images
    (`Targets.weights`); None where no term needs them."""


def teacher_forward(
    model: nn.Module, views: Tensor, targets: Targets, settings: InversionSettings, *, step: int, ctx: Context
) -> TeacherForward:
    """Pass the views `(G·K, ch, R, R)` of a group's images in a step through the teacher."""
    wanted = batchnorm_weight(settings) != 0
    context = batchnorm_moments(model, targets.weights) if wanted else tap_features(model)
    with context as tap, ctx.autocast():
        logits = model(views.contiguous(memory_format=torch.channels_last)).float()
    moments = (tap.means, tap.variances) if isinstance(tap, MomentTap) else None
    return TeacherForward(step=step, views=views, logits=logits, features=tap.features.float(), moments=moments)


def batchnorm_weight(settings: InversionSettings) -> float:
    """Return lambda, the weight of the BatchNorm term; 0 = the moments are not taken."""
    return 0.0 if settings.bn == "none" else settings.bn_weight
