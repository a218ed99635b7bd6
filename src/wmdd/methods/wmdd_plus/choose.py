"""Which of several times as many recovered images are kept: those that together are most like the real ones.

Of the candidates of a class, the subset is sought whose BatchNorm moments are nearest to the class's, or whose features
have the least MMD² to those of real images. Images are seen whole. Under soft labels these two did better than
distances of features in predicting what students learn (docs/lab-book.md). The search adds one image at a time and then
exchanges pairs while that helps, so it ends in a subset that no single exchange improves.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from wmdd import ot
from wmdd.context import Context, Saved
from wmdd.data.inputs import distilled_inputs
from wmdd.methods.wmdd_plus import PlusSettings
from wmdd.models.building import build_teacher
from wmdd.models.differentiable_moments import batchnorm_moments
from wmdd.stages.classes import class_by_class
from wmdd.stages.recovery.mmd import ROWS, draw_rows, kernel_matrix
from wmdd.stages.recovery.terms import squared_distance
from wmdd.stages.stage import Stage
from wmdd.training.pixels import class_major_set
from wmdd.values import ClassStatistics, DistilledSet, Teacher

Objective = Callable[[Sequence[int]], float]
"""Rows of candidates → what is to be least."""


def choose_images(
    candidates: DistilledSet,
    teacher: Teacher,
    statistics: ClassStatistics,
    settings: PlusSettings,
    *,
    ipc: int,
    ctx: Context | None = None,
) -> DistilledSet:
    """Return `ipc` of the candidates of each class, in their order, all of equal weight; the unit of work is a class.

    Raises:
        DataError: teacher and candidates disagree about classes.
    """
    ctx = ctx or Context()
    teacher.require_classes(candidates.classes)
    model = build_teacher(teacher, ctx.device)
    count = candidates.ipc

    def one_class(label: int) -> Saved:
        features, first, second = seen_by(model, candidates, slice(label * count, (label + 1) * count), ctx)
        if settings.choose_by == "batchnorm":
            objective = moment_objective(first, second, statistics.means[label], statistics.variances[label])
        else:
            real = draw_rows(statistics.of_class(label), ROWS, ctx.generator("real", label)).double()
            objective = discrepancy_objective(features, real)
        rows = best_rows(objective, count, ipc)
        ctx.log(unit=f"class {label}", chosen=rows, value=objective(rows), value_of_all=objective(range(count)))
        return Saved(tensors={"rows": torch.tensor(rows)}, facts={})

    rows = class_by_class(one_class, len(candidates.classes), ctx=ctx).tensors["rows"]
    positions = rows + count * torch.arange(len(rows))[:, None]
    return class_major_set(candidates.method, candidates.images[positions.flatten()], teacher)


def seen_by(model: nn.Module, distilled: DistilledSet, rows: slice, ctx: Context) -> tuple[Tensor, Tensor, Tensor]:
    """Return features `(n, D)` of whole images, and the means and mean squares `(n, F)` of BatchNorm inputs of each.

    float64, on the CPU.
    """
    images = distilled_inputs(distilled, rows, ctx.device).contiguous(memory_format=torch.channels_last)
    alone = torch.ones(len(images), 1, device=ctx.device)
    with torch.no_grad(), batchnorm_moments(model, alone) as tap, ctx.autocast():
        model(images)
    features, means, variances = (part.double().cpu() for part in (tap.features, tap.means, tap.variances))
    return features, means, variances + means.square()


def moment_objective(first: Tensor, second: Tensor, means: Tensor, variances: Tensor) -> Objective:
    """Return the BatchNorm term of images taken together: the squared distance of means and variances to a class's.

    Args:
        first: `(n, F)`, means of each image.
        second: `(n, F)`, mean squares of each.
        means: `(F,)` of the class.
        variances: `(F,)` of the class.
    """

    def value(rows: Sequence[int]) -> float:
        mean = first[list(rows)].mean(0, keepdim=True)
        variance = second[list(rows)].mean(0, keepdim=True) - mean.square()
        return float(squared_distance(mean, means[None], ()) + squared_distance(variance, variances[None], ()))

    return value


def discrepancy_objective(features: Tensor, real: Tensor) -> Objective:
    """Return MMD² between some of `(n, D)` features and all of the real ones, under the Gaussians of `wmdd.ot`."""
    median = ot.median_distance(real.numpy())
    own, across = kernel_matrix(features, features, median), kernel_matrix(features, real, median).mean(1)
    rest = float(kernel_matrix(real, real, median).mean())

    def value(rows: Sequence[int]) -> float:
        chosen = list(rows)
        return float(own[chosen][:, chosen].mean() - 2 * across[chosen].mean()) + rest

    return value


def best_rows(objective: Objective, count: int, kept: int) -> list[int]:
    """Return `kept` of `count` rows, rising, that no exchange of one of them makes better; the first of equals."""
    chosen: list[int] = []
    for _ in range(kept):
        chosen.append(min(_others(chosen, count), key=lambda row: objective([*chosen, row])))
    value = objective(chosen)
    while True:
        exchanged = [[*chosen[:at], row, *chosen[at + 1 :]] for at in range(kept) for row in _others(chosen, count)]
        best = min(exchanged, key=objective, default=chosen)
        if objective(best) >= value:
            return sorted(chosen)
        chosen, value = best, objective(best)


def _others(chosen: Sequence[int], count: int) -> list[int]:
    return [row for row in range(count) if row not in chosen]


CHOOSE = Stage(name="choose", version=1, run=choose_images, output=DistilledSet, workers="units")
