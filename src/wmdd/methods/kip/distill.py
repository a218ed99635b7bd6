"""Kernel inducing points, and label solve: a small set for regression with the kernel of a wide network.

Nguyen et al. 2021 (arXiv:2011.00050, 2107.13034), fully connected kernel with one hidden layer. `kip` optimises the
images, and the labels if asked to, so that kernel regression on them predicts batches of real images; `label_solve`
leaves real images as they are and finds their best labels in closed form. The mathematics is in `training/ntk.py`.
Inputs are standardised channel by channel; the papers' best figures use ZCA and convolutional kernels, which are not
here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from wmdd.context import Context
from wmdd.data.inputs import network_inputs
from wmdd.data.loading import fetch_batches, in_order, to_float
from wmdd.errors import ConfigError
from wmdd.methods.kits.class_batches import ClassBatches
from wmdd.methods.kits.coresets import PickSettings, pick_random
from wmdd.settings import KipSettings
from wmdd.stages.stage import Stage
from wmdd.training.images import Descent, Variable, Variables, optimise
from wmdd.training.ntk import centred_classes, regression_loss, solve_labels
from wmdd.training.pixels import class_labels, start_images, unbounded_set
from wmdd.values import DistilledSet, ImageSet, Teacher

PART = 1000
"""Real images that label solve looks at together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What every iteration needs."""

    real: ClassBatches
    num_classes: int
    targets: Tensor
    """Labels of the distilled images where they are not optimised, float64 `(M, C)` on the device."""
    settings: KipSettings
    ctx: Context


def kip(
    train: ImageSet, teacher: Teacher, settings: KipSettings, *, ipc: int, ctx: Context | None = None
) -> DistilledSet:
    """Return `ipc` images of each class, and in `targets` their labels if those were optimised too.

    Args:
        train: real images, to start from and to be predicted.
        teacher: gives normalisation.
        settings: of the optimisation.
        ipc: images per class.
        ctx: surroundings; the state is saved between iterations.

    Raises:
        ConfigError: the device does not compute in float64.
        NumericsError: the loss is not finite any more.
    """
    ctx = ctx or Context()
    teacher.require_classes(train.classes)
    _require_float64(ctx)
    num_classes = len(train.classes)
    targets = centred_classes(class_labels(num_classes, ipc), num_classes).to(ctx.device)
    real = ClassBatches(images=train, mean=teacher.mean, std=teacher.std, device=ctx.device)
    job = _Job(real=real, num_classes=num_classes, targets=targets, settings=settings, ctx=ctx)
    images = start_images(train, teacher, range(num_classes), ipc, start="real", ctx=ctx).double()
    start = {"images": Variable(start=images, lr=settings.lr)}
    if settings.learn_labels:
        start["targets"] = Variable(start=targets, lr=settings.lr)
    descent = Descent(unit="images", iterations=settings.iterations, optimiser=torch.optim.Adam, advice="lower kip.lr")
    found = optimise(start, partial(_loss, job), descent, ctx=ctx)
    targets = found["targets"].float().cpu() if settings.learn_labels else None
    return replace(unbounded_set("kip", found["images"], teacher), targets=targets)


def _loss(job: _Job, iteration: int, variables: Variables) -> Tensor:
    """Return the error of kernel regression on a batch of as many real images of each class."""
    count = max(1, job.settings.batch // job.num_classes)
    parts = [
        job.real.draw(label, count, job.ctx.generator("real", iteration, label)) for label in range(job.num_classes)
    ]
    labels = torch.repeat_interleave(torch.tensor([len(part) for part in parts]))
    answers = centred_classes(labels, job.num_classes).to(job.ctx.device)
    targets = variables.get("targets", job.targets)
    return regression_loss(variables["images"], targets, torch.cat(parts), answers)


def label_solve(
    train: ImageSet, teacher: Teacher, settings: PickSettings, *, ipc: int, ctx: Context | None = None
) -> DistilledSet:
    """Return `ipc` random real images of each class, and in `targets` the labels that predict all real images best.

    Args:
        train: real images.
        teacher: gives normalisation.
        settings: nothing to set.
        ipc: images per class.
        ctx: surroundings.

    Raises:
        ConfigError: the device does not compute in float64.
    """
    ctx = ctx or Context()
    teacher.require_classes(train.classes)
    _require_float64(ctx)
    picked = pick_random(train, teacher, settings, ipc=ipc, ctx=ctx)
    support = to_float(picked.images.to(ctx.device), teacher.mean, teacher.std)
    targets = solve_labels(support, _answered(train, teacher, ctx))
    return replace(picked, method="ls", targets=targets.float().cpu())


def _require_float64(ctx: Context) -> None:
    """Refuse a device without float64, in which kernels have to be."""
    if ctx.device.type == "mps":
        raise ConfigError(f"kernel regression needs float64; got device {ctx.device.type}; use --device cpu")


def _answered(train: ImageSet, teacher: Teacher, ctx: Context) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield all real images, part by part, with the labels that they are to get."""
    order = in_order(len(train), PART)
    fetched = fetch_batches(train, order, workers=ctx.workers, device=ctx.device)
    for done, (index, pixels) in enumerate(fetched, start=1):
        images = network_inputs(pixels, teacher)
        yield images, centred_classes(train.labels[index], len(train.classes)).to(ctx.device)
        ctx.progress(done, len(order))


KIP = Stage(name="kip", version=1, run=kip, output=DistilledSet, networks=False)
LABEL_SOLVE = Stage(name="ls", version=1, run=label_solve, output=DistilledSet, networks=False)
