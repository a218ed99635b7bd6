"""Images whose mean statistics are those of real images for many random networks: what DM and DataDAM share.

For class c, statistics s_1 ... s_n of a batch under a network with random weights (each a mean over the batch), and a
Siamese transform A, drawn anew for each class and iteration, the same for both sides:

    L = sum_c sum_j a_j || s_j(A(real_c)) - s_j(A(X_c)) ||²,   summed over entries

The network is never trained, and each iteration has a new one. BatchNorm layers are recalibrated on real images
(`training/recalibration.py`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from wmdd.context import Context, seeded, stream_seed
from wmdd.methods.algorithm import CountWork, Size, Work
from wmdd.methods.kits.matching import SiameseBatches
from wmdd.methods.kits.settings import MeanSettings
from wmdd.models.building import fresh_network
from wmdd.settings import Recipe
from wmdd.training.images import Descent, Variable, Variables, optimise
from wmdd.training.pixels import start_images, unbounded_set
from wmdd.values import DistilledSet, ImageSet, Teacher

Statistics = Callable[[nn.Module, Tensor], Sequence[Tensor]]
"""Network, batch `(B, ch, R, R)` → statistics, each a float32 mean over the batch, differentiable in it."""
Weights = Callable[[int], Sequence[float]]
"""Number of statistics → a_j of each."""


def match_statistics(
    train: ImageSet,
    teacher: Teacher,
    settings: MeanSettings,
    *,
    ipc: int,
    method: str,
    statistics: Statistics,
    weights: Weights,
    ctx: Context,
) -> DistilledSet:
    """Return `ipc` images of each class, under the class order and the normalisation of `teacher`.

    The unit of work is an iteration; `method` is the name that the set carries.

    Raises:
        ConfigError: the architecture is unknown, or the images do not suit it.
        NumericsError: the loss is not finite any more.
    """
    teacher.require_classes(train.classes)
    batches = SiameseBatches.of(train, teacher, settings, ctx)
    loss = _MeanLoss(batches=batches, statistics=statistics, weights=weights, ctx=ctx)
    start = start_images(train, teacher, range(len(train.classes)), ipc, start=settings.start, ctx=ctx)
    descent = Descent(
        unit="images",
        iterations=settings.iterations,
        optimiser=partial(torch.optim.SGD, momentum=settings.momentum),
        advice=f"lower {settings.section}.lr",
    )
    images = optimise({"images": Variable(start=start, lr=settings.rate(ipc))}, loss, descent, ctx=ctx)["images"]
    return unbounded_set(method, images, teacher)


@dataclass(frozen=True, slots=True, kw_only=True)
class _MeanLoss:
    """The loss of an iteration, class by class."""

    batches: SiameseBatches
    statistics: Statistics
    weights: Weights
    ctx: Context

    def __call__(self, iteration: int, variables: Variables) -> Iterator[Tensor]:
        """Yield the weighted squared distances of each class's mean statistics."""
        model = fresh_network(self.batches.spec, self.ctx, "network", iteration).requires_grad_(False)
        self.batches.recalibrate(model, iteration)
        for label, images in enumerate(variables["images"].chunk(self.batches.spec.num_classes)):
            real, distilled = self.batches.pair(images, label, iteration)
            with seeded(stream_seed(self.ctx.seed, self.ctx.stage, "dropout", iteration, label), self.ctx.device):
                with torch.no_grad(), self.ctx.autocast():
                    wanted = self.statistics(model, real)
                with self.ctx.autocast():
                    found = self.statistics(model, distilled)
            parts = zip(self.weights(len(wanted)), found, wanted, strict=True)
            yield torch.stack([weight * (one - other).square().sum() for weight, one, other in parts]).sum()


def mean_work(kind: type[MeanSettings]) -> CountWork:
    """Return what counts real images forward, distilled ones forward and backward."""

    def work(recipe: Recipe, size: Size) -> tuple[Work, ...]:
        settings = recipe.of(kind)
        real, distilled = settings.batch_real * size.classes, recipe.ipc * size.classes
        return (Work(arch=settings.arch, forward=settings.iterations * real, both=settings.iterations * distilled),)

    return work
