"""What a student learns from: which views, and what the teachers, the classes or the set itself say of them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wmdd.context import Context
from wmdd.data.dsa import apply_dsa, draw_dsa
from wmdd.data.inputs import view_inputs
from wmdd.data.views import cutmix_share, epoch_views
from wmdd.evaluation.protocols import EvaluationProtocol
from wmdd.models import batch_statistics
from wmdd.product.labels import soft_targets
from wmdd.settings import EvaluateSettings, TrainSettings
from wmdd.training.loop import Batch
from wmdd.training.losses import distillation_loss, label_loss, logit_loss, target_loss
from wmdd.values import DistilledSet, ImageSet, SoftLabels, Views

Loss = Callable[[Tensor, Batch], Tensor]
Way = Literal["training", "kernel", "steps"]
"""What is done with a set: see `EvaluationProtocol.way`; steps = those whose lengths the set has learned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """A small set and its labels: everything a student learns from, apart from the protocol; and how it is tested."""

    distilled: DistilledSet
    labels: SoftLabels
    teacher: nn.Module
    """One, or several that answer as one."""
    stem: str
    """Of the teacher; students have the same."""
    val: ImageSet
    settings: EvaluateSettings
    ctx: Context


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One student: its architecture, protocol and seed, and its place among all of them."""

    student: str
    protocol: EvaluationProtocol
    way: Way
    seed: int
    hard: bool
    """Whether it learns what the set brings itself, and not from a teacher."""
    twin: bool
    """Whether the same student is also trained under the other kind of labels."""
    number: int
    total: int

    def name(self, method: str) -> str:
        """Return the name under which its state and its rows are kept."""
        aside = " hard" if self.hard and self.twin else ""
        return f"{method} {self.student} {self.protocol.name} seed {self.seed}{aside}"


class Batches:
    """The batches of an epoch."""

    def __init__(self, lesson: Lesson, unit: Unit, training: TrainSettings) -> None:
        self._lesson, self._unit, self._training = lesson, unit, training

    def __call__(self, epoch: int) -> Iterator[Batch]:
        """Yield the batches of `epoch`."""
        lesson, batch, protocol = self._lesson, self._training.batch, self._unit.protocol
        distilled, device = lesson.distilled, lesson.ctx.device
        views, logits = self._epoch(epoch)
        orders = self._orders(epoch)
        for number, start in enumerate(range(0, len(views), batch)):
            rows = views.rows(start, start + batch)
            images = self._changed(view_inputs(distilled, rows, device, orders), epoch, number)
            images = images.contiguous(memory_format=torch.channels_last)
            stored = None if logits is None else logits[start : start + batch]
            yield Batch(
                images=images,
                targets=own_targets(distilled, rows).to(device) if self._unit.hard else self._answers(images, stored),
                weights=distilled.weights[rows.index].to(device),
                classes=mixed_classes(distilled, rows).to(device) if protocol.class_weight else None,
            )
        epochs = self._training.epochs
        lesson.ctx.progress(self._unit.number * epochs + epoch + 1, self._unit.total * epochs)

    def _epoch(self, epoch: int) -> tuple[Views, Tensor | None]:
        """Return the views of an epoch and, if they are stored, the teacher's logits of them."""
        labels, size = self._lesson.labels, self._lesson.distilled.image_size
        if self._unit.protocol.labels == "stored":
            stored = labels.epochs[epoch]
            return stored.views, None if stored.logits is None else soft_targets(stored, labels.num_classes)
        views = epoch_views(
            len(self._lesson.distilled.labels),
            self._training.batch,
            size,
            size,
            self._unit.protocol.views,
            generator_for=lambda number: self._lesson.ctx.generator("views", self._unit.seed, epoch, number),
            shuffle=self._lesson.ctx.generator("order", self._unit.seed, epoch),
        )
        return views, None

    def _orders(self, epoch: int) -> Tensor | None:
        """Return in which order each image's patches lie in this epoch, `(M, patches²)`; None = as they are."""
        count = self._unit.protocol.patches
        if count == 1:
            return None
        draws = self._lesson.ctx.generator("patches", self._unit.seed, epoch)
        return torch.rand(len(self._lesson.distilled.labels), count**2, generator=draws).argsort(dim=1)

    def _changed(self, images: Tensor, epoch: int, number: int) -> Tensor:
        """Return the images after DSA, one group of operations for the batch, parameters for each image."""
        generator = self._lesson.ctx.generator("dsa", self._unit.seed, epoch, number)
        return apply_dsa(images, draw_dsa(self._unit.protocol.dsa, images.shape[-1], len(images), generator))

    def _answers(self, images: Tensor, stored: Tensor | None) -> Tensor:
        """Return the teachers' logits, `(B, C)`."""
        if stored is not None:
            return stored.to(images.device)
        teacher = self._lesson.teacher
        with ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            stack.enter_context(self._lesson.ctx.autocast())
            if self._unit.protocol.batch_statistics:
                stack.enter_context(batch_statistics(teacher))
            return teacher(images).float()


def mixed_classes(distilled: DistilledSet, views: Views) -> Tensor:
    """Return class probabilities `(B, C)` of views: the image's class, and its partner's by the area of the patch."""
    return _mixed(F.one_hot(distilled.labels, len(distilled.classes)), distilled, views)


def own_targets(distilled: DistilledSet, views: Views) -> Tensor:
    """Return what the set itself says of views, `(B, C)`: its fixed targets where it brings some, else the classes."""
    if distilled.targets is None:
        return mixed_classes(distilled, views)
    return _mixed(distilled.targets, distilled, views)


def _mixed(targets: Tensor, distilled: DistilledSet, views: Views) -> Tensor:
    """Mix the rows of `(M, C)` targets as the views mix the images."""
    share = cutmix_share(views, distilled.image_size)[:, None]
    return (1 - share) * targets[views.index] + share * targets[views.partner]


def loss_of(unit: Unit, lesson: Lesson) -> Loss:
    """Return the student's loss.

    Fixed targets are learned by squared error: they need not be probabilities, and what was learned about them is lost
    in their largest entry (as DC-BENCH takes it).
    """
    protocol = unit.protocol
    temperature = lesson.labels.temperature if protocol.labels == "stored" else protocol.temperature

    def soft(logits: Tensor, batch: Batch) -> Tensor:
        assert batch.weights is not None
        if protocol.loss == "kl":
            return distillation_loss(logits, batch.targets, batch.weights, temperature)
        return logit_loss(logits, batch.targets, batch.weights)

    def both(logits: Tensor, batch: Batch) -> Tensor:
        assert batch.classes is not None
        return soft(logits, batch) + protocol.class_weight * label_loss(logits, batch.classes)

    if unit.hard:
        own = label_loss if lesson.distilled.targets is None else target_loss
        return lambda logits, batch: own(logits, batch.targets)
    return both if protocol.class_weight else soft


def student_training(unit: Unit, lesson: Lesson) -> TrainSettings:
    """Return how the student is trained; under stored labels there are as many epochs as were stored, at the most."""
    distilled, protocol = lesson.distilled, unit.protocol
    training = protocol.settings(distilled.ipc, len(distilled.classes), lesson.settings.epochs)
    if protocol.labels == "stored":
        training = training.with_(epochs=min(training.epochs, len(lesson.labels.epochs)))
    if protocol.learned_rate and distilled.rates is not None and len(distilled.rates) == 1:
        training = training.with_(lr=float(distilled.rates))
    return training
