"""Stage 6, evaluate: train fresh students on a small set and test them on real images.

Every figure that counts is the accuracy after the last epoch; the highest over the tests is kept beside it. Nothing is chosen on
the test images. A student differs between seeds in its initial weights, its dropout and, where views are drawn afresh, in its
views and their order; stored views are replayed as they are.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wmdd.context import Context, stream_seed
from wmdd.data.labels import soft_targets
from wmdd.data.views import epoch_views, patch_share
from wmdd.models import build_model, build_teacher, resolve_spec
from wmdd.protocols import EvaluationProtocol, find_protocol
from wmdd.settings import EvaluateSettings, TrainSettings
from wmdd.stages._stage import Stage
from wmdd.stages._testing import accuracy
from wmdd.stages.relabel import seen
from wmdd.stages.statistics import require_same_classes
from wmdd.training.loop import Batch, Task, fit, test_epochs
from wmdd.training.losses import distillation_loss, label_loss
from wmdd.training.randomness import seeded
from wmdd.values import DistilledSet, Evaluation, ImageSet, Score, SoftLabels, Teacher, Views


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lesson:
    """A small set and its labels: everything a student learns from, apart from the protocol."""

    distilled: DistilledSet
    labels: SoftLabels
    teacher: nn.Module
    val: ImageSet


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
    lesson = _Lesson(distilled=distilled, labels=soft_labels, teacher=build_teacher(teacher, ctx.device), val=val)
    units = [
        (student, find_protocol(protocol), seed)
        for protocol in settings.protocols
        for student in settings.students
        for seed in range(settings.seeds)
    ]
    scores: list[Score] = []
    for number, (student, protocol, seed) in enumerate(units):
        unit = f"{distilled.method} {student} {protocol.name} seed {seed}"
        done = ctx.restore(f"{unit} score")
        if done is None:
            score = _one_student(lesson, student, protocol, seed, unit, settings, (number, len(units)), ctx)
            ctx.save(
                f"{unit} score",
                {"top1": torch.tensor(score.top1)},
                **{name: getattr(score, name) for name in Score.__slots__},
            )
        else:
            score = Score(**done.facts)
        scores.append(score)
    return Evaluation(scores=tuple(scores))


def _one_student(
    lesson: _Lesson,
    student: str,
    protocol: EvaluationProtocol,
    seed: int,
    unit: str,
    settings: EvaluateSettings,
    position: tuple[int, int],
    ctx: Context,
) -> Score:
    """Train and test one student."""
    distilled = lesson.distilled
    hard = settings.labels == "hard" or protocol.labels == "hard"
    training = student_training(protocol, distilled, lesson.labels, settings)
    model = _fresh(student, distilled, seed, ctx)
    task = Task(
        name=unit,
        steps=-(-len(distilled.labels) // training.batch),
        batches=_Batches(lesson, protocol, training, seed, hard, position, ctx),
        loss=_loss(hard, protocol.temperature),
        test=_tester(lesson, ctx),
        tests=test_epochs(training.epochs, settings.tests),
    )
    history = fit(model, task, training, ctx=ctx).history
    return Score(
        set=distilled.method,
        ipc=distilled.ipc,
        student=student,
        protocol=protocol.name,
        labels="hard" if hard else "soft",
        seed=seed,
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


def _fresh(student: str, distilled: DistilledSet, seed: int, ctx: Context) -> nn.Module:
    """Return a new student on the device; its weights depend on the seeds and the architecture alone, not on the set."""
    spec = resolve_spec(
        student,
        num_classes=len(distilled.classes),
        channels=distilled.images.shape[1],
        image_size=distilled.image_size,
    )
    with seeded(stream_seed(ctx.seed, ctx.stage, "weights", student, seed), torch.device("cpu")):
        model = build_model(spec)
    return model.to(ctx.device, memory_format=torch.channels_last)


def _loss(hard: bool, temperature: float) -> Callable[[Tensor, Batch], Tensor]:
    """Return the student's loss."""

    def soft(logits: Tensor, batch: Batch) -> Tensor:
        assert batch.weights is not None
        return distillation_loss(logits, batch.targets, batch.weights, temperature)

    return (lambda logits, batch: label_loss(logits, batch.targets)) if hard else soft


def _tester(lesson: _Lesson, ctx: Context) -> Callable[[nn.Module], dict[str, float]]:
    """Return the test on the validation images."""

    def test(model: nn.Module) -> dict[str, float]:
        top1, top5 = accuracy(model, lesson.val, lesson.distilled.mean, lesson.distilled.std, ctx)
        return {"top1": top1, "top5": top5}

    return test


class _Batches:
    """The batches of an epoch: which views, and what the teacher or the classes say of them."""

    def __init__(
        self,
        lesson: _Lesson,
        protocol: EvaluationProtocol,
        training: TrainSettings,
        seed: int,
        hard: bool,
        position: tuple[int, int],
        ctx: Context,
    ) -> None:
        self._lesson, self._protocol, self._training = lesson, protocol, training
        self._seed, self._hard, self._position, self._ctx = seed, hard, position, ctx

    def __call__(self, epoch: int) -> Iterator[Batch]:
        """Yield the batches of `epoch`."""
        distilled, batch = self._lesson.distilled, self._training.batch
        views, logits = self._epoch(epoch)
        for start in range(0, len(views), batch):
            rows = views.rows(start, start + batch)
            images = seen(distilled, rows, self._ctx.device).contiguous(memory_format=torch.channels_last)
            targets = self._targets(rows, images, None if logits is None else logits[start : start + batch])
            yield Batch(images=images, targets=targets, weights=distilled.weights[rows.index].to(self._ctx.device))
        number, units = self._position
        self._ctx.progress(number * self._training.epochs + epoch + 1, units * self._training.epochs)

    def _epoch(self, epoch: int) -> tuple[Views, Tensor | None]:
        """Return the views of an epoch and, if they are stored, the teacher's logits of them."""
        labels, size = self._lesson.labels, self._lesson.distilled.image_size
        if self._protocol.labels == "stored":
            stored = labels.epochs[epoch]
            return stored.views, None if stored.logits is None else soft_targets(stored, labels.num_classes)
        views = epoch_views(
            len(self._lesson.distilled.labels),
            self._training.batch,
            size,
            size,
            self._protocol.views,
            generator_for=lambda number: self._ctx.generator("views", self._seed, epoch, number),
            shuffle=self._ctx.generator("order", self._seed, epoch),
        )
        return views, None

    def _targets(self, views: Views, images: Tensor, logits: Tensor | None) -> Tensor:
        """Return what the student shall answer, `(B, C)`: mixed classes, or the teacher's logits."""
        if self._hard:
            return mixed_classes(self._lesson.distilled, views).to(images.device)
        if logits is not None:
            return logits.to(images.device)
        with torch.no_grad(), self._ctx.autocast():
            return self._lesson.teacher(images).float()


def mixed_classes(distilled: DistilledSet, views: Views) -> Tensor:
    """Return class probabilities `(B, C)` of views: the image's class, and its partner's by the area of the patch."""
    share = patch_share(views, distilled.image_size)[:, None]
    own = F.one_hot(distilled.labels[views.index], len(distilled.classes))
    other = F.one_hot(distilled.labels[views.partner], len(distilled.classes))
    return (1 - share) * own + share * other


EVALUATE = Stage(name="evaluate", version=1, run=evaluate, output=Evaluation)
