"""Kernel inducing points: a small set for regression with the kernel of a wide network.

Nguyen et al. 2021 (arXiv:2011.00050, 2107.13034). `kip` optimises the images, and the labels with `learn_labels`, so
that kernel regression on them predicts batches of real images. The mathematics is in `training/ntk.py`, the kernel of
ConvNets in `training/conv_ntk.py`. Inputs are standardised channel by channel, and with `zca` whitened; images are
optimised as networks see them.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from wmdd.context import Context, sent
from wmdd.data.class_batches import ClassBatches
from wmdd.data.whitening import fit_whitening, unwhitened, whitened
from wmdd.methods.algorithm import Algorithm, KernelWork, Result, Size, Stages
from wmdd.methods.kip import KipSettings
from wmdd.methods.kits.kernels import check_of
from wmdd.settings import Recipe
from wmdd.stages.stage import Stage
from wmdd.training.images import Descent, Variable, Variables, optimise
from wmdd.training.kernels import kernel_named
from wmdd.training.ntk import KernelFunction, centred_classes, regression_loss, require_float64
from wmdd.training.pixels import class_labels, start_images, unbounded_set
from wmdd.values import DistilledSet, ImageSet, Teacher


def kip(
    train: ImageSet, teacher: Teacher, settings: KipSettings, *, ipc: int, ctx: Context | None = None
) -> DistilledSet:
    """Return `ipc` images of each class, and in `targets` their labels if those were optimised too.

    `teacher` gives normalisation. The unit of work is an iteration.

    Raises:
        ConfigError: the device does not compute in float64, or the images do not suit the kernel or the whitening.
        NumericsError: the loss is not finite any more.
    """
    ctx = ctx or Context()
    teacher.require_classes(train.classes)
    require_float64(ctx.device)
    num_classes = len(train.classes)
    targets = centred_classes(class_labels(num_classes, ipc), num_classes).to(ctx.device)
    whitening = fit_whitening(train, teacher, settings.zca, ctx)
    loss = _RegressionLoss(
        real=ClassBatches(images=train, form=teacher, device=ctx.device),
        whitening=None if whitening is None else sent(whitening, ctx.device),
        num_classes=num_classes,
        targets=targets,
        kernel=kernel_named(settings.kernel),
        each=max(1, settings.batch // num_classes),
        ctx=ctx,
    )
    images = start_images(train, teacher, range(num_classes), ipc, start="real", ctx=ctx)
    start = {"images": Variable(start=whitened(images, whitening).double(), lr=settings.lr)}
    if settings.learn_labels:
        start["targets"] = Variable(start=targets, lr=settings.lr)
    descent = Descent(unit="images", iterations=settings.iterations, optimiser=torch.optim.Adam, advice="lower kip.lr")
    found = optimise(start, loss, descent, ctx=ctx)
    targets = found["targets"].float().cpu() if settings.learn_labels else None
    images = unwhitened(found["images"].cpu(), whitening)
    return replace(unbounded_set("kip", images, teacher), targets=targets, whitening=whitening, kernel=settings.kernel)


@dataclass(frozen=True, slots=True, kw_only=True)
class _RegressionLoss:
    """The error of kernel regression on a batch with as many real images of each class."""

    real: ClassBatches
    whitening: Tensor | None
    """On the device; what is optimised is whitened already."""
    num_classes: int
    targets: Tensor
    """Labels of the distilled images where they are not optimised, float64 `(M, C)` on the device."""
    kernel: KernelFunction
    each: int
    """Real images of each class."""
    ctx: Context

    def __call__(self, iteration: int, variables: Variables) -> Tensor:
        """Return the loss of an iteration."""
        batches = [
            self.real.draw(label, self.each, self.ctx.generator("real", iteration, label))
            for label in range(self.num_classes)
        ]
        labels = torch.repeat_interleave(torch.tensor([len(batch) for batch in batches]))
        answers = sent(centred_classes(labels, self.num_classes), self.ctx.device)
        targets = variables.get("targets", self.targets)
        queries = whitened(torch.cat(batches), self.whitening)
        return regression_loss(variables["images"], targets, queries, answers, kernel=self.kernel)


KIP = Stage(name="kip", version=1, run=kip, output=DistilledSet, networks=False)


def distill(stages: Stages, train: Result, teachers: tuple[Result, ...], recipe: Recipe) -> Result:
    """Optimise the images."""
    return stages.run(KIP, train, teachers[0], settings=recipe.of(KipSettings), ipc=recipe.ipc)


def count_pairs(recipe: Recipe, size: Size) -> KernelWork:
    """Count the pairs of images of which the kernel is taken: in each step of the set, and of the set with a batch."""
    settings, images = recipe.of(KipSettings), size.classes * recipe.ipc
    batch = min(size.images, size.classes * max(1, settings.batch // size.classes))
    return KernelWork(kernel=settings.kernel, both=settings.iterations * images * (images + batch))


ALGORITHM = Algorithm(distill=distill, kernel_work=count_pairs, check=check_of(KipSettings))
