"""Dataset distillation: images and step sizes that train a fresh network in a few steps of gradient descent.

Wang et al. 2018 (arXiv:1811.10959). A student starts from random weights w_0 and takes T = ipc · E steps

    w_{t+1} = w_t - r_t grad CE(f(x_t; w_t), y),   r_t = softplus(raw_t),

x_t one image of every class, in turn. Images and rates minimise the mean over w_0 of CE(f(real batch; w_T)) by Adam
through all steps. Differs from the authors' code: the network is a ConvNet, not LeNet or AlexNet; an outer step draws
its real batch from all images instead of going through them in epochs; only the variant for unknown weights exists.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from wmdd.context import Context, sent
from wmdd.data.inputs import network_inputs
from wmdd.methods.algorithm import Algorithm, Result, Size, Stages, Work
from wmdd.methods.dd import DdSettings
from wmdd.models.building import network_spec
from wmdd.settings import Recipe
from wmdd.stages.stage import Stage
from wmdd.training.images import Descent, Variable, Variables, optimise
from wmdd.training.losses import label_loss
from wmdd.training.pixels import class_labels, start_images, unbounded_set
from wmdd.training.unroll import GRADIENTS, SECOND_ORDER, functional_network, schedule, xavier_start
from wmdd.values import DistilledSet, ImageSet, Teacher

BETAS = (0.5, 0.999)


def dd(
    train: ImageSet, teacher: Teacher, settings: DdSettings, *, ipc: int, ctx: Context | None = None
) -> DistilledSet:
    """Return `ipc` images of each class, and in `rates` the step size of each of the ipc · E steps.

    `teacher` gives normalisation and stem. The unit of work is an iteration.

    Raises:
        ConfigError: the network has BatchNorm.
        NumericsError: the loss is not finite any more.
    """
    ctx = ctx or Context()
    teacher.require_classes(train.classes)
    classes = range(len(train.classes))
    model = functional_network(network_spec(settings.arch, train, teacher.spec.stem), ctx)
    labels = class_labels(len(classes), ipc).to(ctx.device)
    loss = _StudentLoss(model=model, train=train, teacher=teacher, labels=labels, ipc=ipc, settings=settings, ctx=ctx)
    raw = torch.full((ipc * settings.epochs,), settings.rate).expm1().log()  # softplus takes it back
    start = {
        "images": Variable(start=start_images(train, teacher, classes, ipc, start="noise", ctx=ctx), lr=settings.lr),
        "raw": Variable(start=raw, lr=settings.lr),
    }
    descent = Descent(
        unit="images",
        iterations=settings.iterations,
        optimiser=partial(torch.optim.Adam, betas=BETAS),
        schedule=lambda iteration: 0.5 ** (iteration // settings.decay_every),
        advice="lower dd.lr or dd.rate",
    )
    found = optimise(start, loss, descent, ctx=ctx)
    return replace(unbounded_set("dd", found["images"], teacher), rates=F.softplus(found["raw"]).cpu())


@dataclass(frozen=True, slots=True, kw_only=True)
class _StudentLoss:
    """The loss of real images under students that were trained on the distilled ones."""

    model: nn.Module
    train: ImageSet
    teacher: Teacher
    labels: Tensor
    """Of the distilled images, on the device."""
    ipc: int
    settings: DdSettings
    ctx: Context

    def __call__(self, iteration: int, variables: Variables) -> Iterator[Tensor]:
        """Yield each fresh network's share."""
        settings = self.settings
        real, classes = self._real_batch(iteration)

        def student_loss(weights: dict[str, Tensor]) -> Tensor:
            return label_loss(functional_call(self.model, weights, (real,)), classes) / settings.networks

        for network in range(settings.networks):
            weights = xavier_start(self.model, self.ctx.generator("weights", iteration, network))
            rates = F.softplus(variables["raw"])
            steps = schedule(variables["images"], self.labels, ipc=self.ipc, steps=len(rates))
            yield GRADIENTS[settings.gradient](self.model, weights, steps, rates, student_loss)

    def _real_batch(self, iteration: int) -> tuple[Tensor, Tensor]:
        """Return real images, drawn without replacement from all classes, and their labels."""
        generator, device = self.ctx.generator("real", iteration), self.ctx.device
        order = torch.randperm(len(self.train), generator=generator)[: self.settings.batch]
        images = network_inputs(sent(self.train.images.fetch(order.tolist()), device), self.teacher)
        return images, sent(self.train.labels[order], device)


DD = Stage(name="dd", version=1, run=dd, output=DistilledSet, networks=False)


def distill(stages: Stages, train: Result, teachers: tuple[Result, ...], recipe: Recipe) -> Result:
    """Optimise the images."""
    return stages.run(DD, train, teachers[0], settings=recipe.of(DdSettings), ipc=recipe.ipc)


def work(recipe: Recipe, size: Size) -> tuple[Work, ...]:
    """Count the students' steps, each on one image of each class, and the real images that they are tested on."""
    settings = recipe.of(DdSettings)
    each = SECOND_ORDER * recipe.ipc * settings.epochs * size.classes + settings.batch
    return (Work(arch=settings.arch, both=settings.iterations * settings.networks * each),)


ALGORITHM = Algorithm(distill=distill, work=work)
