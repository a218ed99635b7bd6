"""Stage 6, evaluate: train fresh students on a small set and test them on real images.

Every figure that counts is the accuracy after the last epoch; the highest over the tests is kept beside it. Nothing is
chosen on the test images. A student differs between seeds in its initial weights, its dropout and, where views are
drawn afresh, in its views and their order; stored views are replayed as they are.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product

import torch
from torch import nn

from wmdd.context import Context
from wmdd.errors import DataError
from wmdd.evaluation.accuracy import accuracy
from wmdd.evaluation.procedures import KernelRegression, take_steps, way_of
from wmdd.evaluation.protocols import find_protocol
from wmdd.evaluation.supervision import Batches, Lesson, Unit, Way, loss_of, student_training
from wmdd.models import build_teachers, fresh_network, resolve_spec
from wmdd.settings import EvaluateSettings
from wmdd.stages.stage import Stage
from wmdd.training.loop import Task, fit, test_epochs
from wmdd.values import DistilledSet, Evaluation, ImageSet, Score, SoftLabels, Teacher

History = Sequence[Mapping[str, float]]
"""Tests made on the way, the last one after the last epoch."""


def evaluate(
    distilled: DistilledSet,
    soft_labels: SoftLabels,
    teacher: Teacher | Sequence[Teacher],
    val: ImageSet,
    settings: EvaluateSettings,
    *,
    ctx: Context | None = None,
) -> Evaluation:
    """Return the scores of `settings.seeds` students for each architecture and protocol.

    Args:
        distilled: images to learn from.
        soft_labels: their stored views and answers.
        teacher: asked again under protocols with online labels; of several, the first one's stem is the students', and
            the mean of their logits counts.
        val: images to test on.
        settings: students, protocols, seeds.
        ctx: surroundings; the unit of work is one student.

    Raises:
        DataError: the set and the test images disagree about classes.
        ConfigError: an unknown student or protocol.
    """
    ctx = ctx or Context()
    teachers = (teacher,) if isinstance(teacher, Teacher) else tuple(teacher)
    for each in teachers:
        each.require_classes(val.classes)
    if distilled.classes != val.classes:
        raise DataError(
            f"the set and the test images disagree about the classes; got {len(distilled.classes)} and "
            f"{len(val.classes)}; give the data that the set was distilled from, in the same class order"
        )
    lesson = Lesson(
        distilled=distilled,
        labels=soft_labels,
        teacher=build_teachers(teacher, ctx.device),
        stem=teachers[0].spec.stem,
        val=val,
        settings=settings,
        ctx=ctx,
    )
    return Evaluation(scores=tuple(_score(lesson, unit) for unit in _units(settings, distilled)))


def _units(settings: EvaluateSettings, distilled: DistilledSet) -> list[Unit]:
    """Return all students that are to be trained, and regressions that are to be solved."""
    wanted = ("soft", "hard") if settings.labels == "both" else (settings.labels,)
    units: list[Unit] = []
    for protocol in map(find_protocol, settings.protocols):
        way = way_of(protocol, distilled)
        students = ("kernel",) if way == "kernel" else settings.students
        seeds = range(1 if way == "kernel" else settings.seeds)
        kinds = dict.fromkeys(labels == "hard" or protocol.labels == "hard" for labels in wanted)
        units += [
            Unit(
                student=student,
                protocol=protocol,
                way=way,
                seed=seed,
                hard=hard,
                twin=len(kinds) > 1,
                number=0,
                total=0,
            )
            for hard, student, seed in product(kinds, students, seeds)
        ]
    return [replace(unit, number=number, total=len(units)) for number, unit in enumerate(units)]


def _score(lesson: Lesson, unit: Unit) -> Score:
    """Return the score of a student: saved, or found by training it."""
    name = f"{unit.name(lesson.distilled.method)} score"
    saved = lesson.ctx.restore(name)
    if saved is not None:
        return Score(**saved.facts)
    history = _WAYS[unit.way](lesson, unit)
    distilled = lesson.distilled
    score = Score(
        set=distilled.method,
        ipc=distilled.ipc,
        student=unit.student,
        protocol=unit.protocol.name,
        labels="hard" if unit.hard else "soft",
        seed=unit.seed,
        distill_seed=lesson.ctx.seed,
        top1=history[-1]["top1"],
        top5=history[-1]["top5"],
        top1_best=max(row["top1"] for row in history),
    )
    lesson.ctx.save(name, {}, **{field: getattr(score, field) for field in Score.__slots__})
    return score


def _trained(lesson: Lesson, unit: Unit) -> History:
    """Train a student; return its tests."""
    training = student_training(unit, lesson)
    task = Task(
        name=unit.name(lesson.distilled.method),
        steps=-(-len(lesson.distilled.labels) // training.batch),
        batches=Batches(lesson, unit, training),
        loss=loss_of(unit, lesson),
        test=lambda model: _test(lesson, model),
        tests=test_epochs(training.epochs, lesson.settings.tests),
    )
    return fit(_fresh(lesson, unit), task, training, ctx=lesson.ctx).history


def _stepped(lesson: Lesson, unit: Unit) -> History:
    """Take the set's own steps; return the one test after them."""
    weights = lesson.ctx.generator("own weights", unit.student, unit.seed)
    return _only_test(lesson, unit, take_steps(_fresh(lesson, unit), unit.student, lesson, weights))


def _regressed(lesson: Lesson, unit: Unit) -> History:
    """Solve the kernel regression; return its one test."""
    return _only_test(lesson, unit, KernelRegression(lesson.distilled, lesson.ctx.device))


def _only_test(lesson: Lesson, unit: Unit, model: nn.Module) -> History:
    """Return the test of a model that needs no epochs, and tell of it."""
    figures = _test(lesson, model.eval())
    lesson.ctx.log(unit=unit.name(lesson.distilled.method), **figures)
    lesson.ctx.progress(unit.number + 1, unit.total)
    return (figures,)


_WAYS: Mapping[Way, Callable[[Lesson, Unit], History]] = {
    "training": _trained,
    "kernel": _regressed,
    "steps": _stepped,
}


def _fresh(lesson: Lesson, unit: Unit) -> nn.Module:
    """Return a new student on the device; its weights depend on seeds and architecture alone, not on the set."""
    distilled, ctx = lesson.distilled, lesson.ctx
    spec = resolve_spec(
        unit.student,
        num_classes=len(distilled.classes),
        channels=distilled.images.shape[1],
        image_size=distilled.image_size,
        stem=lesson.stem,
    )
    model = fresh_network(spec, ctx, "weights", unit.student, unit.seed)
    return model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def _test(lesson: Lesson, model: nn.Module) -> dict[str, float]:
    """Return the accuracies on the validation images."""
    top1, top5 = accuracy(model, lesson.val, lesson.distilled.mean, lesson.distilled.std, lesson.ctx)
    return {"top1": top1, "top5": top5}


EVALUATE = Stage(name="evaluate", version=1, run=evaluate, output=Evaluation)
