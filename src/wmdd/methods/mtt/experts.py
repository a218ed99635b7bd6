"""Experts for trajectory matching: networks trained on the real images, with their parameters after every epoch.

Cazenavette et al. 2022 (arXiv:2203.11932): plain SGD at a constant rate, with augmentation drawn for each image. One
stage of its own, whose result does not depend on IPC: sets of all sizes share it. The parameters are written in place,
expert by expert, into one file that is read as a memory map.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from wmdd.context import Context, every_unit, sent
from wmdd.data.dsa import apply_dsa, draw_dsa
from wmdd.data.inputs import network_inputs
from wmdd.data.loading import batch_spans, fetch_batches, shuffled
from wmdd.data.whitening import fit_whitening, whitened
from wmdd.methods.mtt import ExpertsSettings
from wmdd.models.building import fresh_network, network_spec
from wmdd.settings import TrainSettings
from wmdd.stages.stage import Stage
from wmdd.training.loop import Batch, Task, fit
from wmdd.training.losses import label_loss
from wmdd.training.unroll import flatten, functional_network
from wmdd.values import ImageSet, Teacher, Trajectories


def experts(
    train: ImageSet, teacher: Teacher, settings: ExpertsSettings, *, ctx: Context | None = None
) -> Trajectories:
    """Return the parameters of `settings.count` networks after each epoch of their training.

    `teacher` gives normalisation and stem. The unit of work is one expert, and an epoch inside it.

    Raises:
        ConfigError: the network has BatchNorm.
        NumericsError: the training diverged.
    """
    ctx = ctx or Context()
    teacher.require_classes(train.classes)
    spec = network_spec(settings.arch, train, teacher.spec.stem)
    width = sum(value.numel() for value in functional_network(spec, ctx).parameters())
    parameters = ctx.array("parameters", (settings.count, settings.epochs + 1, width))
    whitening = fit_whitening(train, teacher, settings.zca, ctx)
    on_device = None if whitening is None else sent(whitening, ctx.device)
    made = [
        _Expert(number=number, train=train, teacher=teacher, whitening=on_device, settings=settings, ctx=ctx)
        for number in range(settings.count)
    ]
    names = [f"{expert.name} done" for expert in made]

    def make(number: int) -> None:
        trajectory = parameters[number]
        if ctx.restore(names[number], rows=lambda _: trajectory) is None:
            made[number].fit(fresh_network(spec, ctx, "network", number), trajectory)
            ctx.save(names[number], {}, rows=trajectory)

    every_unit(names, make, ctx)
    return Trajectories(spec=spec, parameters=parameters, whitening=whitening)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Expert:
    """The training of one network."""

    number: int
    train: ImageSet
    teacher: Teacher
    whitening: Tensor | None
    """On the device."""
    settings: ExpertsSettings
    ctx: Context

    @property
    def name(self) -> str:
        """Of its saved state."""
        return f"expert-{self.number:05d}"

    def fit(self, model: nn.Module, trajectory: Tensor) -> None:
        """Train `model`; write its parameters at the start and after each epoch into `trajectory` `(E + 1, P)`."""
        settings = self.settings

        def epoch_batches(epoch: int) -> Iterator[Batch]:
            # The beginning of an epoch is where the one before has ended; a resumed run writes the same numbers again.
            trajectory[epoch] = _flat(model)
            yield from self._batches(epoch)
            self.ctx.progress(self.number * settings.epochs + epoch + 1, settings.count * settings.epochs)

        task = Task(
            name=self.name,
            steps=len(batch_spans(len(self.train), settings.batch)),
            batches=epoch_batches,
            loss=lambda logits, batch: label_loss(logits, batch.targets),
            rows=lambda epochs: trajectory[:epochs],
        )
        training = TrainSettings(
            epochs=settings.epochs,
            batch=settings.batch,
            lr=settings.lr,
            momentum=0.0,
            weight_decay=0.0,
            schedule="constant",
        )
        trajectory[settings.epochs] = _flat(fit(model, task, training, ctx=self.ctx).model)

    def _batches(self, epoch: int) -> Iterator[Batch]:
        """Yield the batches of an epoch: shuffled, augmented image by image."""
        train, settings, ctx = self.train, self.settings, self.ctx
        order = shuffled(len(train), settings.batch, ctx.generator("order", self.number, epoch))
        fetched = fetch_batches(train, order, workers=ctx.workers, device=ctx.device)
        for step, (index, pixels) in enumerate(fetched):
            images = whitened(network_inputs(pixels, self.teacher), self.whitening)
            generator = ctx.generator("dsa", self.number, epoch, step)
            drawn = draw_dsa(settings.strategy, train.image_size, len(index), generator)
            yield Batch(images=apply_dsa(images, drawn), targets=sent(train.labels[index], ctx.device))


def _flat(model: nn.Module) -> Tensor:
    """Return all parameters side by side, `(P,)`, on the CPU."""
    return flatten(dict(model.named_parameters())).detach().cpu()


EXPERTS = Stage(name="experts", version=2, run=experts, output=Trajectories, networks=False, workers="units")
