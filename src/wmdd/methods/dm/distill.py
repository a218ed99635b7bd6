"""Distribution matching (DM): images whose mean features are those of real images, for many random networks.

For class c, features f of a network with random weights, and a Siamese transform A, drawn anew for each class and
iteration, the same for both sides:

    L = sum_c || mean_b f(A(real_cb)) - mean_i f(A(X_ci)) ||²,   summed over features

Zhao and Bilen, WACV 2023 (arXiv:2110.04181). The network is never trained, and each iteration has a new one. Differs
from the reference code: every draw has a stream of its own, and BatchNorm layers are recalibrated on real images as in
gradient matching (`kits/matching.py`), where the reference code runs them over all classes in train mode.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from wmdd.context import Context, seeded, stream_seed
from wmdd.methods.algorithm import Algorithm, Result, Size, Stages, Work
from wmdd.methods.dm import DmSettings
from wmdd.methods.kits.matching import SiameseBatches
from wmdd.models.building import fresh_network
from wmdd.models.taps import features_and_logits
from wmdd.settings import Recipe
from wmdd.stages.stage import Stage
from wmdd.training.images import Descent, Variable, Variables, optimise
from wmdd.training.pixels import start_images, unbounded_set
from wmdd.values import DistilledSet, ImageSet, Teacher


def match_means(
    train: ImageSet, teacher: Teacher, settings: DmSettings, *, ipc: int, ctx: Context | None = None
) -> DistilledSet:
    """Return `ipc` images of each class, under the class order and the normalisation of `teacher`.

    The unit of work is an iteration.

    Raises:
        ConfigError: the architecture is unknown, or the images do not suit it.
        NumericsError: the loss is not finite any more.
    """
    ctx = ctx or Context()
    teacher.require_classes(train.classes)
    loss = _MeanLoss(batches=SiameseBatches.of(train, teacher, settings, ctx), ctx=ctx)
    start = start_images(train, teacher, range(len(train.classes)), ipc, start=settings.start, ctx=ctx)
    descent = Descent(
        unit="images",
        iterations=settings.iterations,
        optimiser=partial(torch.optim.SGD, momentum=settings.momentum),
        advice="lower dm.lr",
    )
    images = optimise({"images": Variable(start=start, lr=settings.rate(ipc))}, loss, descent, ctx=ctx)["images"]
    return unbounded_set("dm", images, teacher)


@dataclass(frozen=True, slots=True, kw_only=True)
class _MeanLoss:
    """The loss of an iteration, class by class."""

    batches: SiameseBatches
    ctx: Context

    def __call__(self, iteration: int, variables: Variables) -> Iterator[Tensor]:
        """Yield the squared distance of each class's mean features."""
        model = fresh_network(self.batches.spec, self.ctx, "network", iteration).requires_grad_(False)
        self.batches.recalibrate(model, iteration)
        for label, images in enumerate(variables["images"].chunk(self.batches.spec.num_classes)):
            real, distilled = self.batches.pair(images, label, iteration)
            with seeded(stream_seed(self.ctx.seed, self.ctx.stage, "dropout", iteration, label), self.ctx.device):
                with torch.no_grad(), self.ctx.autocast():
                    wanted = features_and_logits(model, real)[0].float().mean(0)
                with self.ctx.autocast():
                    found = features_and_logits(model, distilled)[0].float().mean(0)
            yield (found - wanted).square().sum()


MATCH_MEANS = Stage(name="match_means", version=1, run=match_means, output=DistilledSet)


def distill(stages: Stages, train: Result, teachers: tuple[Result, ...], recipe: Recipe) -> Result:
    """Match means."""
    return stages.run(MATCH_MEANS, train, teachers[0], settings=recipe.of(DmSettings), ipc=recipe.ipc)


def work(recipe: Recipe, size: Size) -> tuple[Work, ...]:
    """Count real images forward, distilled ones forward and backward."""
    settings = recipe.of(DmSettings)
    real, distilled = settings.batch_real * size.classes, recipe.ipc * size.classes
    return (Work(arch=settings.arch, forward=settings.iterations * real, both=settings.iterations * distilled),)


ALGORITHM = Algorithm(distill=distill, work=work)
