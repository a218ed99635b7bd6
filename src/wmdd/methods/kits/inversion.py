"""Images from a teacher alone, without atoms: SRe2L's form of recovery, and what differs from it in one term.

For images x of a group, lambda = `bn_weight` (SRe2L, NeurIPS 2023, arXiv:2306.13092):

    L = CE(f(view(x)), y)  +  lambda * sum_l m_l ( ||mu_l(x) - mu_l|| + ||var_l(x) - var_l|| ),   m_1 = `bn_first`

with the moments of each BatchNorm layer's input over the group and the running ones of the teacher (`bn="running"`):
averages over augmented batches from when its weights were still changing. `bn="global"` has exact moments of the
training images as they are. Norms are squared unless `form="reference"`. With `mmd_*` the cross-entropy gives way to
MMD² between the features of a class's images and those of its real images. All images weigh 1/IPC.

Where moments are pooled (`running`, `global`) a group is one image of as many classes as fit in `batch`, and more of
each only if all classes fit: moments over many classes are what they are compared with. Else a group is as many whole
classes as fit.
"""

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from wmdd.context import Context
from wmdd.methods.algorithm import Result, Size, Stages, Work
from wmdd.settings import InversionSettings, KernelSettings, OptimisationSettings, Recipe, StatisticsSettings
from wmdd.stages.recovery.descent import Recovery, recover_groups
from wmdd.stages.recovery.forward import TeacherForward
from wmdd.stages.recovery.groups import Group, class_groups, moment_targets
from wmdd.stages.recovery.loss import GroupLoss
from wmdd.stages.recovery.prepared import prepared
from wmdd.stages.recovery.terms import recovery_loss
from wmdd.stages.stage import Stage
from wmdd.stages.statistics import STATISTICS
from wmdd.values import ClassStatistics, DistilledSet, ImageSet, Teacher


def invert(
    train: ImageSet,
    teacher: Teacher,
    statistics: ClassStatistics,
    settings: KernelSettings,
    *,
    ipc: int,
    method: str,
    section: str = "recover",
    ctx: Context | None = None,
) -> DistilledSet:
    """Return `ipc` images of each class as a set named `method`; the unit of work is a group, a step inside it.

    `section` is what the user calls these settings.

    Raises:
        ConfigError: the teacher has no BatchNorm layer.
        DataError: teacher and images disagree about classes.
        NumericsError: the loss is not finite any more.
    """
    ctx = ctx or Context()
    model, residuals = prepared(train, teacher, statistics, settings, ctx=ctx)
    groups = inversion_groups(len(train.classes), ipc, settings)
    advice = f"lower {section}.lr or {section}.bn_weight"
    recovery = Recovery(
        train=train, teacher=teacher, settings=settings, groups=groups, ctx=ctx, advice=advice, residuals=residuals
    )

    def loss_of(group: Group) -> GroupLoss[TeacherForward]:
        weights = _equal(len(group.labels), group.ipc)
        targets = moment_targets(statistics, group, weights, settings, device=ctx.device)
        return recovery_loss(model, targets, statistics, settings, ctx=ctx)

    return recover_groups(recovery, method, loss_of, weights=_equal(len(train.classes), ipc))


def _equal(num_classes: int, ipc: int) -> Tensor:
    return torch.full((num_classes, ipc), 1 / ipc, dtype=torch.float64)


def inversion_groups(num_classes: int, ipc: int, settings: InversionSettings) -> tuple[Group, ...]:
    """Return which images are optimised together: whole classes, or where moments are pooled one image of many."""
    if not settings.pooled:
        return class_groups(num_classes, ipc, settings.batch)
    each = max(1, settings.batch // num_classes)
    return tuple(
        replace(group, ipc=min(each, ipc - first), first=first)
        for first in range(0, ipc, each)
        for group in class_groups(num_classes, 1, settings.batch)
    )


INVERT = Stage(name="invert", version=3, run=invert, output=DistilledSet, workers="units")
FeatureLoss = Literal["cross_entropy", "mmd_linear", "mmd_rbf"]
MATCHING = 1.5
"""A step against statistics costs about this much of the bare forward and backward (see benchmarks/)."""


def invert_with(feature_loss: FeatureLoss, stages: Stages, train: Result, teacher: Result, recipe: Recipe) -> Result:
    """Wire statistics and inversion under a feature loss, for the methods that differ in that and in their settings."""
    own = recipe.of(InversionSettings)
    settings = KernelSettings(**own.model_dump(), feature_loss=feature_loss)
    statistics = stages.run(STATISTICS, train, teacher, settings=recipe.of(StatisticsSettings))
    named = {"method": recipe.method, "section": own.section}
    return stages.run(INVERT, train, teacher, statistics, settings=settings, ipc=recipe.ipc, **named)


def recovery_work(recipe: Recipe, size: Size) -> tuple[Work, ...]:
    """Count statistics and recovery under the teacher."""
    settings, images = recipe.of(OptimisationSettings), size.classes * recipe.ipc
    steps = settings.iterations * -(-images // max(settings.batch, recipe.ipc))
    both = MATCHING * settings.iterations * images
    return (Work(arch=recipe.squeeze.arch, forward=size.images, both=both, steps=steps),)
