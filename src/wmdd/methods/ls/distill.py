"""Label solve: random real images, with the labels under which kernel regression predicts the others best.

Nguyen et al. 2021 (arXiv:2011.00050); the labels have a closed form, see `training/ntk.py`. With `zca` all real images
are whitened for it, and the set carries the whitening to its students and their test images.
"""

from collections.abc import Iterator
from dataclasses import replace

from torch import Tensor

from wmdd.context import Context, sent
from wmdd.data.inputs import distilled_inputs, network_inputs
from wmdd.data.loading import fetch_batches, in_order
from wmdd.data.whitening import fit_whitening, whitened
from wmdd.methods.algorithm import Algorithm, KernelWork, Result, Size, Stages
from wmdd.methods.kits.kernels import check_of
from wmdd.methods.ls import LabelSolveSettings
from wmdd.methods.random.distill import pick_random
from wmdd.settings import NoSettings, Recipe
from wmdd.stages.stage import Stage
from wmdd.training.kernels import kernel_named
from wmdd.training.ntk import centred_classes, require_float64, solve_labels
from wmdd.values import DistilledSet, ImageSet, Teacher

PART = 1000
"""Real images in a part of the solution."""


def label_solve(
    train: ImageSet, teacher: Teacher, settings: LabelSolveSettings, *, ipc: int, ctx: Context | None = None
) -> DistilledSet:
    """Return `ipc` random real images of each class, and in `targets` the labels that predict all real images best.

    Raises:
        ConfigError: the device does not compute in float64, or the images do not suit the kernel or the whitening.
    """
    ctx = ctx or Context()
    teacher.require_classes(train.classes)
    require_float64(ctx.device)
    picked = pick_random(train, teacher, NoSettings(), ipc=ipc, ctx=ctx)
    whitening = fit_whitening(train, teacher, settings.zca, ctx)
    on_device = None if whitening is None else sent(whitening, ctx.device)
    support = whitened(distilled_inputs(picked, slice(None), ctx.device), on_device)
    parts = _with_targets(train, teacher, on_device, ctx)
    targets = solve_labels(support, parts, kernel=kernel_named(settings.kernel)).float().cpu()
    return replace(picked, method="ls", targets=targets, whitening=whitening, kernel=settings.kernel)


def _with_targets(
    train: ImageSet, teacher: Teacher, whitening: Tensor | None, ctx: Context
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield all real images, part by part, whitened, with their centred labels."""
    order = in_order(len(train), PART)
    fetched = fetch_batches(train, order, workers=ctx.workers, device=ctx.device)
    for done, (index, pixels) in enumerate(fetched, start=1):
        images = whitened(network_inputs(pixels, teacher), whitening)
        yield images, sent(centred_classes(train.labels[index], len(train.classes)), ctx.device)
        ctx.progress(done, len(order))


LABEL_SOLVE = Stage(name="ls", version=2, run=label_solve, output=DistilledSet, networks=False)


def distill(stages: Stages, train: Result, teachers: tuple[Result, ...], recipe: Recipe) -> Result:
    """Draw the images and solve for their labels."""
    return stages.run(LABEL_SOLVE, train, teachers[0], settings=recipe.of(LabelSolveSettings), ipc=recipe.ipc)


def count_pairs(recipe: Recipe, size: Size) -> KernelWork:
    """Count the pairs of images of which the kernel is taken: of the set, and of the set with all real images."""
    images = size.classes * recipe.ipc
    return KernelWork(kernel=recipe.of(LabelSolveSettings).kernel, forward=images * (images + size.images))


ALGORITHM = Algorithm(distill=distill, kernel_work=count_pairs, check=check_of(LabelSolveSettings))
