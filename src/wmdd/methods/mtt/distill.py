"""Matching training trajectories: images that take a student, in few steps, as far as real images take an expert.

Cazenavette et al. 2022 (arXiv:2203.11932). From the parameters t_s of an expert after s < S_max epochs, N steps

    w_{k+1} = w_k - alpha grad CE(f(A(X_b); w_k), y_b),   w_0 = t_s,

with a fresh augmentation A for each step and image, and over images X and the rate alpha, by SGD through all steps,

    min ||w_N - t_{s+M}||² / ||t_s - t_{s+M}||²

over all parameters side by side. Differs from the authors' code: alpha is kept positive by projection (theirs can turn
negative). Inputs are standardised channel by channel, and whitened if the experts' were (`experts.zca`): images are
optimised as networks see them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from wmdd.context import Context, sent
from wmdd.data.dsa import apply_dsa, draw_dsa
from wmdd.data.loading import shuffled
from wmdd.data.whitening import require_whitening, unwhitened, whitened
from wmdd.errors import ConfigError
from wmdd.methods.algorithm import Algorithm, Result, Size, Stages, Work
from wmdd.methods.mtt import ExpertsSettings, MttSettings
from wmdd.methods.mtt.experts import EXPERTS
from wmdd.settings import Recipe
from wmdd.stages.stage import Stage
from wmdd.training.images import Descent, Variable, Variables, optimise
from wmdd.training.pixels import class_labels, start_images, unbounded_set
from wmdd.training.unroll import GRADIENTS, SECOND_ORDER, Step, flatten, functional_network, unflatten
from wmdd.values import DistilledSet, ImageSet, Teacher, Trajectories

SMALLEST_RATE = 1e-6


def mtt(
    train: ImageSet,
    teacher: Teacher,
    trajectories: Trajectories,
    settings: MttSettings,
    *,
    ipc: int,
    ctx: Context | None = None,
) -> DistilledSet:
    """Return `ipc` images of each class, and in `rates` the student's learning rate alpha.

    `teacher` gives normalisation, under which the experts were trained on `train` too. The unit of work is an
    iteration.

    Raises:
        ConfigError: the experts' trajectories are too short.
        NumericsError: the loss is not finite any more.
    """
    ctx = ctx or Context()
    teacher.require_classes(train.classes)
    require_long_trajectories(settings, trajectories.parameters.shape[1] - 1)
    classes = range(len(train.classes))
    loss = _TrajectoryLoss(
        model=functional_network(trajectories.spec, ctx),
        experts=trajectories.parameters,
        labels=class_labels(len(classes), ipc).to(ctx.device),
        settings=settings,
        ctx=ctx,
    )
    whitening = trajectories.whitening
    images = whitened(start_images(train, teacher, classes, ipc, start="real", ctx=ctx), whitening)
    start = {
        "images": Variable(start=images, lr=settings.lr),
        "rate": Variable(start=torch.tensor([settings.rate]), lr=settings.rate_lr),
    }
    descent = Descent(
        unit="images",
        iterations=settings.iterations,
        optimiser=partial(torch.optim.SGD, momentum=settings.momentum),
        project=lambda variables: variables["rate"].clamp_(min=SMALLEST_RATE),
        advice="lower mtt.lr or mtt.rate_lr, or mtt.start_max if experts hardly move that late",
        advice_at_start="lower mtt.start_max, for experts hardly move that late",
    )
    found = optimise(start, loss, descent, ctx=ctx)
    images = unwhitened(found["images"].cpu(), whitening)
    return replace(unbounded_set("mtt", images, teacher), rates=found["rate"].cpu(), whitening=whitening)


def require_long_trajectories(settings: MttSettings, epochs: int) -> None:
    """Raise `ConfigError` unless experts of `epochs` epochs reach beyond the latest start by `span` epochs."""
    last = settings.start_max - 1 + settings.span
    if last > epochs:
        raise ConfigError(
            f"mtt.start_max and mtt.span reach to epoch {last} of the experts; got experts.epochs {epochs}; lower them "
            "or train the experts for longer"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _TrajectoryLoss:
    """The distance between a student's parameters and an expert's, relative to what the expert covered."""

    model: nn.Module
    experts: Tensor
    """`(X, E + 1, P)`."""
    labels: Tensor
    """Of the distilled images, on the device."""
    settings: MttSettings
    ctx: Context

    def __call__(self, iteration: int, variables: Variables) -> Tensor:
        """Return the loss for an expert and an epoch drawn at random."""
        settings = self.settings
        generator = self.ctx.generator("match", iteration)
        expert = int(torch.randint(len(self.experts), (), generator=generator))
        begin = int(torch.randint(settings.start_max, (), generator=generator))
        first, last = (sent(self.experts[expert, at], self.ctx.device) for at in (begin, begin + settings.span))
        covered = (first - last).square().sum()

        def distance(weights: dict[str, Tensor]) -> Tensor:
            return (flatten(weights) - last).square().sum() / covered

        steps = list(self._steps(variables["images"], generator))
        rates = variables["rate"].expand(settings.steps)
        return GRADIENTS[settings.gradient](self.model, unflatten(first, self.model), steps, rates, distance)

    def _steps(self, images: Tensor, generator: torch.Generator) -> Iterator[Step]:
        """Yield the student's batches: the images in random order, again and again, each time augmented anew."""
        waiting: list[Tensor] = []
        for _ in range(self.settings.steps):
            if not waiting:
                waiting = shuffled(len(images), self.settings.batch or len(images), generator)
            index = waiting.pop(0)
            drawn = draw_dsa(self.settings.strategy, images.shape[-1], len(index), generator)
            index = sent(index, images.device)
            yield apply_dsa(images[index], drawn), self.labels[index]


MTT = Stage(name="mtt", version=2, run=mtt, output=DistilledSet, networks=False)


def distill(stages: Stages, train: Result, teachers: tuple[Result, ...], recipe: Recipe) -> Result:
    """Train experts, which all IPC share, and match their trajectories."""
    teacher, experts, own = teachers[0], recipe.of(ExpertsSettings), recipe.of(MttSettings)
    require_long_trajectories(own, experts.epochs)
    trajectories = stages.run(EXPERTS, train, teacher, settings=experts)
    return stages.run(MTT, train, teacher, trajectories, settings=own, ipc=recipe.ipc)


def work(recipe: Recipe, size: Size) -> tuple[Work, ...]:
    """Count the training of the experts, and the students' steps."""
    experts, own, images = recipe.of(ExpertsSettings), recipe.of(MttSettings), size.classes * recipe.ipc
    taught = own.iterations * own.steps * min(own.batch or images, images)
    return (Work(arch=experts.arch, both=experts.count * experts.epochs * size.images + SECOND_ORDER * taught),)


def check(recipe: Recipe, train: ImageSet) -> None:
    """Refuse images that are too large for the whitening."""
    require_whitening(recipe.of(ExpertsSettings).zca, train.channels * train.image_size**2)


ALGORITHM = Algorithm(distill=distill, work=work, check=check)
