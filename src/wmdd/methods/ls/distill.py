"""Label solve: random real images, with the labels under which kernel regression predicts the others best.

Nguyen et al. 2021 (arXiv:2011.00050); the labels have a closed form, see `training/ntk.py`.
"""

from collections.abc import Iterator
from dataclasses import replace

from torch import Tensor

from wmdd.context import Context, sent
from wmdd.data.inputs import distilled_inputs, network_inputs
from wmdd.data.loading import fetch_batches, in_order
from wmdd.methods.algorithm import Algorithm, Result, Stages
from wmdd.methods.random.distill import pick_random
from wmdd.settings import NoSettings, Recipe
from wmdd.stages.stage import Stage
from wmdd.training.ntk import centred_classes, require_float64, solve_labels
from wmdd.values import DistilledSet, ImageSet, Teacher

PART = 1000
"""Real images in a part of the solution."""


def label_solve(
    train: ImageSet, teacher: Teacher, settings: NoSettings, *, ipc: int, ctx: Context | None = None
) -> DistilledSet:
    """Return `ipc` random real images of each class, and in `targets` the labels that predict all real images best.

    Raises:
        ConfigError: the device does not compute in float64.
    """
    ctx = ctx or Context()
    teacher.require_classes(train.classes)
    require_float64(ctx.device)
    picked = pick_random(train, teacher, settings, ipc=ipc, ctx=ctx)
    support = distilled_inputs(picked, slice(None), ctx.device)
    targets = solve_labels(support, _with_targets(train, teacher, ctx))
    return replace(picked, method="ls", targets=targets.float().cpu())


def _with_targets(train: ImageSet, teacher: Teacher, ctx: Context) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield all real images, part by part, with their centred labels."""
    order = in_order(len(train), PART)
    fetched = fetch_batches(train, order, workers=ctx.workers, device=ctx.device)
    for done, (index, pixels) in enumerate(fetched, start=1):
        images = network_inputs(pixels, teacher)
        yield images, sent(centred_classes(train.labels[index], len(train.classes)), ctx.device)
        ctx.progress(done, len(order))


LABEL_SOLVE = Stage(name="ls", version=2, run=label_solve, output=DistilledSet, networks=False)


def distill(stages: Stages, train: Result, teachers: tuple[Result, ...], recipe: Recipe) -> Result:
    """Draw the images and solve for their labels."""
    return stages.run(LABEL_SOLVE, train, teachers[0], settings=NoSettings(), ipc=recipe.ipc)


ALGORITHM = Algorithm(distill=distill)
