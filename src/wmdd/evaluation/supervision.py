"""What a student learns from: views of the images, and their labels from the teachers, the classes or the set."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wmdd.context import Context, sent
from wmdd.data.dsa import apply_dsa, draw_dsa
from wmdd.data.inputs import view_inputs
from wmdd.data.loading import batch_spans
from wmdd.data.replay import Replay
from wmdd.data.views import cutmix_share, epoch_views
from wmdd.data.whitening import whitened
from wmdd.evaluation.own_temperature import OwnTemperature
from wmdd.evaluation.students import Student
from wmdd.mapped import taken
from wmdd.models.batchnorm import batch_statistics
from wmdd.product.labels import soft_targets
from wmdd.training.loop import Batch
from wmdd.training.losses import distillation_loss, label_loss, logit_loss, target_loss
from wmdd.values import DistilledSet, EpochLabels, Views

Loss = Callable[[Tensor, Batch], Tensor]
Supply = Callable[[int, int], DistilledSet]
"""Seed of a student, and an epoch → the images that it learns from in that epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Supervision:
    """Images, and who labels them where no answers are stored, for students of any protocol."""

    distilled: DistilledSet
    """The set; where every epoch has images of its own, those of the first, whose form all have."""
    supply: Supply
    images: str = ""
    """Digest of what they learn from, see `digest_of_set`."""
    teacher: nn.Module
    """Labels views under protocols with online labels: one network, or several that answer as one."""
    stem: str
    """Stem of the teacher; students have the same."""
    labelled_by: str = ""
    """Digest of the teachers, see `digest_of_teachers`."""


class StudentBatches:
    """The batches that one student learns from, epoch by epoch."""

    def __init__(self, student: Student, supervision: Supervision, ctx: Context) -> None:
        self._student, self._supervision, self._ctx = student, supervision, ctx
        self._whitening = whitening_on(supervision.distilled, ctx.device)
        self._replay: Replay | None = None
        if student.replays is not None:
            order = partial(ctx.generator, "replay", student.seed)
            self._replay = Replay(student.replays, student.training.batch, order)

    def __call__(self, epoch: int) -> Iterator[Batch]:
        """Yield the batches of `epoch`."""
        student, device = self._student, self._ctx.device
        distilled = self._supervision.supply(student.seed, epoch)
        orders, epochs = self._tile_orders(epoch), student.training.epochs
        weights = distilled.relative_weights
        stretch = student.labels == "soft" and epoch in student.protocol.hard_epochs(epochs)
        for number, labels in enumerate(self._labels(epoch, fresh=stretch)):
            rows = labels.views
            views = view_inputs(distilled, rows, device, orders)
            images = self._augmented(whitened(views, self._whitening), epoch, number)
            hard = stretch or student.labels == "hard"
            seen = images if hard or self._whitening is None else self._augmented(views, epoch, number)
            yield Batch(
                images=images,
                targets=sent(own_targets(distilled, rows), device) if hard else self._answers(seen, labels),
                weights=sent(weights[rows.index], device),
                classes=sent(mixed_classes(distilled, rows), device) if student.protocol.class_weight else None,
                temperature=student.protocol.temperature_in(epoch, epochs, student.temperature),
                stretch=stretch,
            )
        self._ctx.progress(student.number * epochs + epoch + 1, student.total * epochs)

    def _labels(self, epoch: int, *, fresh: bool) -> Iterator[EpochLabels]:
        """Yield the views of each batch of an epoch and, if stored, the teachers' answers to them."""
        student, distilled, ctx = self._student, self._supervision.distilled, self._ctx
        if self._replay is not None and not fresh:
            yield from self._replay.batches(student.protocol.soft_epochs(epoch, student.training.epochs))
            return
        views = epoch_views(
            len(distilled.labels),
            student.training.batch,
            distilled.image_size,
            distilled.image_size,
            student.views,
            generator_for=lambda number: ctx.generator("views", student.seed, epoch, number),
            shuffle=ctx.generator("order", student.seed, epoch),
        )
        for span in batch_spans(len(views), student.training.batch):
            yield EpochLabels(views=views.rows(span.start, span.stop), logits=None)

    def _tile_orders(self, epoch: int) -> Tensor | None:
        """Return the order of each image's tiles in this epoch, `(M, tiles²)`; None = unchanged."""
        tiles = self._student.protocol.tiles
        if tiles == 1:
            return None
        # The stream keeps its old name: under another it would draw other orders.
        generator = self._ctx.generator("patches", self._student.seed, epoch)
        return torch.rand(len(self._supervision.distilled.labels), tiles**2, generator=generator).argsort(dim=1)

    def _augmented(self, images: Tensor, epoch: int, number: int) -> Tensor:
        """Return the images after DSA: one group of operations for the batch, parameters for each image."""
        generator = self._ctx.generator("dsa", self._student.seed, epoch, number)
        drawn = draw_dsa(self._student.protocol.dsa, images.shape[-1], len(images), generator)
        return apply_dsa(images, drawn).contiguous(memory_format=torch.channels_last)

    def _answers(self, images: Tensor, labels: EpochLabels) -> Tensor:
        if labels.logits is not None:
            return sent(soft_targets(labels, len(self._supervision.distilled.classes)), images.device)
        teacher = self._supervision.teacher
        with ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            stack.enter_context(self._ctx.autocast())
            if self._student.protocol.batch_statistics:
                stack.enter_context(batch_statistics(teacher))
            return teacher(images).float()


def whitening_on(distilled: DistilledSet, device: torch.device) -> Tensor | None:
    """Return the whitening of a set on the device, if it has one."""
    return None if distilled.whitening is None else sent(distilled.whitening, device)


def fixed(distilled: DistilledSet) -> Supply:
    """Return the supply that gives every student the whole set in every epoch."""

    def whole(seed: int, epoch: int) -> DistilledSet:
        del seed, epoch
        return distilled

    return whole


def mixed_classes(distilled: DistilledSet, views: Views) -> Tensor:
    """Return class probabilities `(B, C)` of views: the image's class, mixed with its partner's by the patch's area."""
    classes = len(distilled.classes)
    return _mixed(lambda rows: F.one_hot(distilled.labels[rows], classes), distilled, views)


def own_targets(distilled: DistilledSet, views: Views) -> Tensor:
    """Return the set's own labels of views, `(B, C)`: its fixed targets if it has some, else the classes."""
    if distilled.targets is None:
        return mixed_classes(distilled, views)
    return _mixed(partial(taken, distilled.targets), distilled, views)


def _mixed(targets: Callable[[Tensor], Tensor], distilled: DistilledSet, views: Views) -> Tensor:
    """Mix targets, of images by their positions `(B, C)`, as the views mix the images."""
    share = cutmix_share(views, distilled.image_size)[:, None]
    return (1 - share) * targets(views.index) + share * targets(views.partner)


def student_loss(student: Student, supervision: Supervision, fitted: OwnTemperature | None = None) -> Loss:
    """Return the student's loss of logits `(B, C)` and a batch; only that of soft labels counts the images' weights.

    `fitted` is the student's temperature where the protocol has it fitted; None = the teacher's.

    Fixed targets are fitted by squared error: they need not be probabilities, and keeping only their largest entry (as
    DC-BENCH does) loses what was learned about the others.
    """
    protocol = student.protocol

    def soft(logits: Tensor, batch: Batch) -> Tensor:
        assert batch.weights is not None
        if batch.stretch:
            return label_loss(logits, batch.targets, protocol.stretch_smoothing)
        if protocol.loss == "kl":
            temperature = batch.temperature or student.temperature
            return distillation_loss(
                logits, batch.targets, batch.weights, temperature, None if fitted is None else fitted.value
            )
        return logit_loss(logits, batch.targets, batch.weights)

    def both(logits: Tensor, batch: Batch) -> Tensor:
        if batch.stretch:
            return soft(logits, batch)
        assert batch.classes is not None
        return soft(logits, batch) + protocol.class_weight * label_loss(logits, batch.classes)

    if student.labels == "hard":
        own = label_loss if supervision.distilled.targets is None else target_loss
        return lambda logits, batch: own(logits, batch.targets)
    return both if protocol.class_weight else soft
