"""G-VBSM: images on which several teachers agree, under the statistics of all their layers, kept apart in each class.

Shao et al., CVPR 2024, arXiv:2311.17950. Step t uses teacher t mod n:

    L = CE(f(view(x)), y)  +  w * sum_l m_l ( ||EMA(mu_l(x)) - mu_l|| + ||EMA(var_l(x)) - var_l|| )  +  d * DD(view(x))

l goes over the moments of what enters each BatchNorm and each convolution (channels, and patches of 4 x 4), m_l is
`gvbsm.first` for the first layer and 1 for the others; a convolution sits a step out with probability `gvbsm.drop`.
Moving averages belong to a group and a teacher; they have the value of many steps and the gradient of the latest
(`MovingAverage`). DD is data densification. The terms are in `terms.py`. A group is as many whole
classes as fit in `gvbsm.batch`, with moments over all its images.

All images of a group share crop, flip and roll of a step, as in the authors' code.
"""

from collections.abc import Sequence

import torch

from wmdd.context import Context
from wmdd.methods.algorithm import (
    Algorithm,
    Result,
    Size,
    Stages,
    Work,
    further_teachers,
    squeezed,
    squeezing,
    squeezing_of,
)
from wmdd.methods.gvbsm import GvbsmSettings
from wmdd.methods.gvbsm.layer_statistics import LAYER_STATISTICS
from wmdd.methods.gvbsm.terms import CommitteeForward, committee_loss, layer_targets
from wmdd.methods.kits.inversion import MATCHING
from wmdd.models.committee import Committee
from wmdd.settings import Recipe, StatisticsSettings
from wmdd.stages.recovery.descent import Recovery, recover_groups
from wmdd.stages.recovery.groups import Group, class_groups
from wmdd.stages.recovery.loss import GroupLoss
from wmdd.stages.stage import Stage
from wmdd.values import DistilledSet, ImageSet, LayerStatistics, Teacher

ADVICE = "lower gvbsm.lr or gvbsm.weight"


def recover_gvbsm(
    train: ImageSet,
    teachers: Sequence[Teacher],
    statistics: Sequence[LayerStatistics],
    settings: GvbsmSettings,
    *,
    ipc: int,
    ctx: Context | None = None,
) -> DistilledSet:
    """Return `ipc` images of each class, all of equal weight, normalised as the first teacher expects.

    `statistics` are those of each teacher, in order. The unit of work is a group of classes, a step inside it.

    Raises:
        DataError: a teacher and the images disagree about classes.
        NumericsError: the loss is not finite any more.
    """
    ctx = ctx or Context()
    for teacher in teachers:
        teacher.require_classes(train.classes)
    committee = Committee(teachers, ctx.device).eval()
    targets = [layer_targets(each, settings.first, ctx.device) for each in statistics]
    groups = class_groups(len(train.classes), ipc, settings.batch)
    recovery = Recovery(train=train, teacher=teachers[0], settings=settings, groups=groups, ctx=ctx, advice=ADVICE)

    def loss_of(group: Group) -> GroupLoss[CommitteeForward]:
        return committee_loss(committee, targets, group, settings, ctx)

    return recover_groups(recovery, "gvbsm", loss_of, weights=torch.full((len(train.classes), ipc), 1 / ipc))


GVBSM = Stage(name="gvbsm", version=2, run=recover_gvbsm, output=DistilledSet, workers="units")


def teach(stages: Stages, train: Result, val: Result, recipe: Recipe) -> tuple[Result, ...]:
    """Squeeze the teacher, and then each further network as it was."""
    first = squeezed(stages, train, val, recipe)
    return (*first, *further_teachers(stages, train, val, recipe, _others(recipe)))


def distill(stages: Stages, train: Result, teachers: tuple[Result, ...], recipe: Recipe) -> Result:
    """Take each teacher's statistics and recover images under all of them."""
    settings = recipe.of(StatisticsSettings)
    archs = (recipe.squeeze.arch, *_others(recipe))
    statistics = tuple(
        stages.run(LAYER_STATISTICS, train, each, settings=settings, of=arch)
        for each, arch in zip(teachers, archs, strict=True)
    )
    return stages.run(GVBSM, train, teachers, statistics, settings=recipe.of(GvbsmSettings), ipc=recipe.ipc)


def teach_work(recipe: Recipe, size: Size) -> tuple[Work, ...]:
    """Count the training of every teacher."""
    return (*squeezing(recipe, size), *(squeezing_of(arch, recipe, size) for arch in _others(recipe)))


def work(recipe: Recipe, size: Size) -> tuple[Work, ...]:
    """Count statistics under every teacher, and recovery, in which they take turns."""
    archs = (recipe.squeeze.arch, *_others(recipe))
    steps = recipe.of(GvbsmSettings).iterations * size.classes * recipe.ipc / len(archs)
    return tuple(Work(arch=arch, forward=size.images, both=MATCHING * steps) for arch in archs)


def _others(recipe: Recipe) -> list[str]:
    return [arch for arch in dict.fromkeys(recipe.of(GvbsmSettings).teachers) if arch != recipe.squeeze.arch]


ALGORITHM = Algorithm(distill=distill, teach=teach, teach_work=teach_work, work=work)
