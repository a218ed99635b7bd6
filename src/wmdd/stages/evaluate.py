"""Stage 6, evaluate: train fresh students on a small set and test them on real images.

Every figure that counts is the accuracy after the last epoch; the highest over the tests is kept beside it. Nothing is
chosen on the test images. A student differs between seeds in its initial weights, its dropout and, where views are
drawn afresh, in its views and their order; stored views are replayed as they are.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wmdd.context import Context, stream_seed
from wmdd.data.distilled import seen
from wmdd.data.labels import soft_targets
from wmdd.data.views import epoch_views, patch_share
from wmdd.errors import DataError
from wmdd.models import build_model, build_teacher, resolve_spec
from wmdd.protocols import EvaluationProtocol, find_protocol
from wmdd.settings import EvaluateSettings, TrainSettings
from wmdd.stages._stage import Stage
from wmdd.stages._testing import accuracy
from wmdd.stages.statistics import require_same_classes
from wmdd.training.loop import Batch, Task, fit, test_epochs
from wmdd.training.losses import distillation_loss, label_loss
from wmdd.training.randomness import seeded
from wmdd.values import DistilledSet, Evaluation, ImageSet, Score, SoftLabels, Teacher, Views


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lesson:
    """A small set and its labels: everything a student learns from, apart from the protocol; and how it is tested."""

    distilled: DistilledSet
    labels: SoftLabels
    teacher: nn.Module
    stem: str
    """Of the teacher; students have the same."""
    val: ImageSet
    settings: EvaluateSettings
    ctx: Context


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unit:
    """One student: its architecture, protocol and seed, and its place among all of them."""

    student: str
    protocol: EvaluationProtocol
    seed: int
    hard: bool
    number: int
    total: int

    def name(self, method: str) -> str:
        """Return the name under which its state and its rows are kept."""
        return f"{method} {self.student} {self.protocol.name} seed {self.seed}"


def evaluate(
    distilled: DistilledSet,
    soft_labels: SoftLabels,
    teacher: Teacher,
    val: ImageSet,
    settings: EvaluateSettings,
    *,
    ctx: Context | None = None,
) -> Evaluation:
    """Return the scores of `settings.seeds` students for each architecture and protocol.

    Args:
        distilled: images to learn from.
        soft_labels: their stored views and answers.
        teacher: asked again under protocols with online labels.
        val: images to test on.
        settings: students, protocols, seeds.
        ctx: surroundings; the unit of work is one student.

    Raises:
        DataError: the set and the test images disagree about classes.
        ConfigError: an unknown student or protocol.
    """
    ctx = ctx or Context()
    require_same_classes(teacher, val)
    if distilled.classes != val.classes:
        raise DataError(
            f"the set and the test images disagree about the classes; got {len(distilled.classes)} and "
            f"{len(val.classes)}; give the data that the set was distilled from, in the same class order"
        )
    lesson = _Lesson(
        distilled=distilled,
        labels=soft_labels,
        teacher=build_teacher(teacher, ctx.device),
        stem=teacher.spec.stem,
        val=val,
        settings=settings,
        ctx=ctx,
    )
    return Evaluation(scores=tuple(_score(lesson, unit) for unit in _units(settings)))


def _units(settings: EvaluateSettings) -> list[_Unit]:
    """Return all students that are to be trained."""
    protocols = [find_protocol(name) for name in settings.protocols]
    every = list(product(protocols, settings.students, range(settings.seeds)))
    return [
        _Unit(
            student=student,
            protocol=protocol,
            seed=seed,
            hard=settings.labels == "hard" or protocol.labels == "hard",
            number=number,
            total=len(every),
        )
        for number, (protocol, student, seed) in enumerate(every)
    ]


def _score(lesson: _Lesson, unit: _Unit) -> Score:
    """Return the score of a student: saved, or found by training it."""
    name = f"{unit.name(lesson.distilled.method)} score"
    saved = lesson.ctx.restore(name)
    if saved is not None:
        return Score(**saved.facts)
    score = _train(lesson, unit)
    lesson.ctx.save(name, {}, **{field: getattr(score, field) for field in Score.__slots__})
    return score


def _train(lesson: _Lesson, unit: _Unit) -> Score:
    """Train and test one student."""
    distilled = lesson.distilled
    training = student_training(unit.protocol, distilled, lesson.labels, lesson.settings)
    stored = unit.protocol.labels == "stored"
    temperature = lesson.labels.temperature if stored else unit.protocol.temperature
    task = Task(
        name=unit.name(distilled.method),
        steps=-(-len(distilled.labels) // training.batch),
        batches=_Batches(lesson, unit, training),
        loss=_loss(unit.hard, temperature),
        test=lambda model: _test(lesson, model),
        tests=test_epochs(training.epochs, lesson.settings.tests),
    )
    history = fit(_fresh(lesson, unit), task, training, ctx=lesson.ctx).history
    return Score(
        set=distilled.method,
        ipc=distilled.ipc,
        student=unit.student,
        protocol=unit.protocol.name,
        labels="hard" if unit.hard else "soft",
        seed=unit.seed,
        top1=history[-1]["top1"],
        top5=history[-1]["top5"],
        top1_best=max(row["top1"] for row in history),
    )


def student_training(
    protocol: EvaluationProtocol, distilled: DistilledSet, labels: SoftLabels, settings: EvaluateSettings
) -> TrainSettings:
    """Return how the student is trained; under stored labels there are as many epochs as were stored, at the most."""
    training = protocol.settings(distilled.ipc, len(distilled.classes), settings.epochs)
    if protocol.labels == "stored":
        return training.with_(epochs=min(training.epochs, len(labels.epochs)))
    return training


def _fresh(lesson: _Lesson, unit: _Unit) -> nn.Module:
    """Return a new student on the device; its weights depend on seeds and architecture alone, not on the set."""
    distilled, ctx = lesson.distilled, lesson.ctx
    spec = resolve_spec(
        unit.student,
        num_classes=len(distilled.classes),
        channels=distilled.images.shape[1],
        image_size=distilled.image_size,
        stem=lesson.stem,
    )
    with seeded(stream_seed(ctx.seed, ctx.stage, "weights", unit.student, unit.seed), torch.device("cpu")):
        model = build_model(spec)
    return model.to(ctx.device).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def _loss(hard: bool, temperature: float) -> Callable[[Tensor, Batch], Tensor]:
    """Return the student's loss."""

    def soft(logits: Tensor, batch: Batch) -> Tensor:
        assert batch.weights is not None
        return distillation_loss(logits, batch.targets, batch.weights, temperature)

    return (lambda logits, batch: label_loss(logits, batch.targets)) if hard else soft


def _test(lesson: _Lesson, model: nn.Module) -> dict[str, float]:
    """Return the accuracies on the validation images."""
    top1, top5 = accuracy(model, lesson.val, lesson.distilled.mean, lesson.distilled.std, lesson.ctx)
    return {"top1": top1, "top5": top5}


class _Batches:
    """The batches of an epoch: which views, and what the teacher or the classes say of them."""

    def __init__(self, lesson: _Lesson, unit: _Unit, training: TrainSettings) -> None:
        self._lesson, self._unit, self._training = lesson, unit, training

    def __call__(self, epoch: int) -> Iterator[Batch]:
        """Yield the batches of `epoch`."""
        distilled, batch = self._lesson.distilled, self._training.batch
        views, logits = self._epoch(epoch)
        for start in range(0, len(views), batch):
            rows = views.rows(start, start + batch)
            images = seen(distilled, rows, self._lesson.ctx.device).contiguous(memory_format=torch.channels_last)
            targets = self._targets(rows, images, None if logits is None else logits[start : start + batch])
            yield Batch(
                images=images, targets=targets, weights=distilled.weights[rows.index].to(self._lesson.ctx.device)
            )
        epochs = self._training.epochs
        self._lesson.ctx.progress(self._unit.number * epochs + epoch + 1, self._unit.total * epochs)

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

    def _targets(self, views: Views, images: Tensor, logits: Tensor | None) -> Tensor:
        """Return what the student shall answer, `(B, C)`: mixed classes, or the teacher's logits."""
        if self._unit.hard:
            return mixed_classes(self._lesson.distilled, views).to(images.device)
        if logits is not None:
            return logits.to(images.device)
        with torch.no_grad(), self._lesson.ctx.autocast():
            return self._lesson.teacher(images).float()


def mixed_classes(distilled: DistilledSet, views: Views) -> Tensor:
    """Return class probabilities `(B, C)` of views: the image's class, and its partner's by the area of the patch."""
    share = patch_share(views, distilled.image_size)[:, None]
    own = F.one_hot(distilled.labels[views.index], len(distilled.classes))
    other = F.one_hot(distilled.labels[views.partner], len(distilled.classes))
    return (1 - share) * own + share * other


EVALUATE = Stage(name="evaluate", version=1, run=evaluate, output=Evaluation)
