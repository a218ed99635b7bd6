"""What students learn from: exact images, fixed targets, learned rates, augmentation, several teachers, both labels."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from memory_context import KilledError, MemoryContext
from plain_views import full_views
from wmdd.context import Context
from wmdd.data.inputs import view_inputs
from wmdd.data.loading import to_float
from wmdd.evaluation.protocol_names import find_protocol
from wmdd.evaluation.students import Student, planned_students
from wmdd.evaluation.supervision import StudentBatches, Supervision, fixed, own_targets, student_loss
from wmdd.models.batchnorm import batch_statistics
from wmdd.models.building import build_teacher
from wmdd.models.committee import build_teachers
from wmdd.product.reading import load
from wmdd.product.writing import write_product
from wmdd.settings import EvaluateSettings, RelabelSettings
from wmdd.stages.evaluate import evaluate
from wmdd.stages.relabel import relabel
from wmdd.training.loop import Batch
from wmdd.training.losses import distillation_loss, label_loss
from wmdd.values import DistilledSet, ImageSet, SoftLabels, Teacher

Supervised = tuple[Student, Supervision]
CPU = torch.device("cpu")
STUDENT = "convnet1_w4"


@pytest.fixture
def labels(distilled: DistilledSet, teacher: Teacher) -> SoftLabels:
    return relabel(distilled, (teacher,), RelabelSettings(), epochs=2, batch=6)


def settings(**changes: object) -> EvaluateSettings:
    return EvaluateSettings(
        **{"students": (STUDENT,), "seeds": 1, "labels": "soft", "epochs": 2, "tests": 2, **changes}
    )


@pytest.fixture
def make_student(distilled: DistilledSet, labels: SoftLabels, teacher: Teacher) -> Callable[..., Supervised]:
    def make(protocol: str, *, of: DistilledSet = distilled, wanted: str = "hard", **changes: Any) -> Supervised:
        chosen = settings(protocols=(protocol,), labels=wanted, epochs=None)
        (student,) = planned_students(chosen, of, own_procedure="training", stored=(labels,))
        supervision = Supervision(distilled=of, supply=fixed(of), teacher=build_teacher(teacher), stem="small")
        ruled = replace(student.protocol, **changes)
        return replace(student, protocol=ruled, views=changes.get("views", student.views)), supervision

    return make


def first(student: Student, supervision: Supervision, epoch: int = 0) -> Batch:
    return next(iter(StudentBatches(student, supervision, Context(stage="evaluate"))(epoch)))


def with_exact(distilled: DistilledSet) -> DistilledSet:
    return replace(distilled, exact=3 * torch.randn(distilled.images.shape))


def test_exact_images_are_seen_wherever_they_are_there(distilled: DistilledSet, teacher: Teacher) -> None:
    exact = with_exact(distilled)
    assert exact.exact is not None
    views = full_views(torch.tensor([4, 1]), 8)
    torch.testing.assert_close(view_inputs(exact, views, CPU), exact.exact[[4, 1]])
    torch.testing.assert_close(
        view_inputs(distilled, views, CPU), to_float(distilled.images[[4, 1]], distilled.mean, distilled.std)
    )
    soft = relabel(exact, (teacher,), RelabelSettings(), epochs=0, batch=6)
    torch.testing.assert_close(soft.plain, build_teacher(teacher)(exact.exact))


def test_labels_of_no_epochs_are_the_answers_to_the_images_alone(distilled: DistilledSet, teacher: Teacher) -> None:
    soft = relabel(distilled, (teacher,), RelabelSettings(), epochs=0, batch=6)
    assert len(soft.epochs) == soft.num_bytes == 0
    assert soft.plain.shape == (6, 3)


def test_dc_changes_every_batch_by_one_group_drawn_for_it(make_student: Callable[..., Supervised]) -> None:
    student, supervision = make_student("dc")
    plain = make_student("dc", dsa="none")
    one, again, later = first(student, supervision), first(student, supervision), first(student, supervision, epoch=1)
    assert torch.equal(one.images, again.images)
    assert not torch.equal(one.images, first(*plain).images)
    assert not torch.equal(one.images, later.images)
    torch.testing.assert_close(one.targets.sum(1), torch.ones(6))


def test_dc_trains_as_published_and_takes_a_rate_that_was_learned(
    make_student: Callable[..., Supervised], distilled: DistilledSet
) -> None:
    found = make_student("dc")[0].training
    assert (found.epochs, found.batch, found.optimiser, found.lr) == (1000, 6, "sgd", 0.01)
    assert (found.momentum, found.weight_decay, found.schedule) == (0.9, 5e-4, "step")
    learned = replace(distilled, rates=torch.tensor([0.25]))
    assert make_student("dc", of=learned)[0].training.lr == 0.25
    assert make_student("hard", of=learned)[0].training.lr == 1e-3
    several = replace(distilled, rates=torch.tensor([0.25, 0.5]))
    assert make_student("dc", of=several)[0].training.lr == 0.01


def test_fixed_targets_are_mixed_as_images_are_and_learned_by_squared_error(
    make_student: Callable[..., Supervised], distilled: DistilledSet
) -> None:
    fixed = replace(distilled, targets=torch.randn(6, 3))
    assert fixed.targets is not None
    views = replace(
        full_views(torch.tensor([0, 2]), 8),
        partner=torch.tensor([4, 3]),
        patch=torch.tensor([[0, 0, 4, 4], [0, 0, 0, 0]], dtype=torch.int16),
    )
    expected = torch.stack([0.75 * fixed.targets[0] + 0.25 * fixed.targets[4], fixed.targets[2]])
    torch.testing.assert_close(own_targets(fixed, views), expected)
    student, supervision = make_student("dc_plain", of=fixed)
    batch, logits = first(student, supervision), torch.randn(6, 3)
    found = student_loss(student, supervision)(logits, batch)
    assert float(found) == pytest.approx(float(((logits - batch.targets) ** 2).sum() / 12), rel=1e-6)


def test_soft_labels_by_squared_error_with_some_cross_entropy(make_student: Callable[..., Supervised]) -> None:
    student, supervision = make_student("edc", wanted="soft")
    batch, logits = first(student, supervision), torch.randn(6, 3)
    assert batch.weights is not None
    assert batch.classes is not None
    torch.testing.assert_close(batch.classes.sum(1), torch.ones(6))
    squared = ((logits - batch.targets) ** 2).mean(1)
    expected = float((batch.weights * squared).mean())
    expected += 0.025 * float(label_loss(logits, batch.classes))
    assert float(student_loss(student, supervision)(logits, batch)) == pytest.approx(expected, rel=1e-6)
    student, supervision = make_student("rded", wanted="soft")
    batch = first(student, supervision)
    assert batch.classes is None
    torch.testing.assert_close(
        student_loss(student, supervision)(logits, batch), distillation_loss(logits, batch.targets, batch.weights, 20.0)
    )


def test_a_loop_over_the_loader_has_the_loss_of_our_evaluation(
    make_student: Callable[..., Supervised], tmp_path: Path
) -> None:
    student, supervision = make_student("wmdd", wanted="soft")
    student = replace(student, training=student.training.with_(batch=3))
    batch, logits = first(student, supervision), torch.randn(3, 3)
    assert student.replays is not None
    write_product(supervision.distilled, student.replays, tmp_path / "distilled", facts={})
    images, targets, weights = next(iter(load(tmp_path).loader(batch_size=3)))
    assert abs(float(weights.mean()) - 1) > 0.05
    torch.testing.assert_close(images, batch.images)
    student_log = torch.log_softmax(logits / student.replays.temperature, dim=1)
    loss = (
        weights * torch.nn.functional.kl_div(student_log, targets, reduction="none").sum(1)
    ).mean()  # as on the card
    torch.testing.assert_close(student_loss(student, supervision)(logits, batch), loss, rtol=1e-4, atol=0)


def test_tiles_change_places_anew_in_every_epoch(make_student: Callable[..., Supervised]) -> None:
    whole = {"views": find_protocol("dc").views}
    student, supervision = make_student("rded_mosaic", wanted="soft", **whole)
    kept = first(*make_student("rded_mosaic", wanted="soft", **whole, tiles=1)).images
    moved, later = (first(student, supervision, epoch).images for epoch in (0, 1))
    assert not torch.equal(moved, kept)
    assert not torch.equal(moved, later)
    values = [images.flatten(1).sort(dim=1).values for images in (moved, kept)]
    torch.testing.assert_close(*values)


def test_batch_statistics_change_answers_and_leave_the_teacher_alone(
    make_student: Callable[..., Supervised], teacher: Teacher
) -> None:
    model = build_teacher(teacher)
    before = {name: value.clone() for name, value in model.state_dict().items() if "num_batches" not in name}
    images = torch.randn(6, 3, 8, 8)
    usual = model(images)
    with batch_statistics(model):
        other = model(images)
    assert not torch.allclose(usual, other, atol=1e-3)
    assert torch.equal(model(images), usual)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())
    by_batch = first(*make_student("fadrm", wanted="soft")).targets
    by_own = first(*make_student("fadrm", wanted="soft", batch_statistics=False)).targets
    assert not torch.allclose(by_batch, by_own, atol=1e-3)


def test_several_teachers_answer_by_the_mean_of_their_logits(
    distilled: DistilledSet, teacher: Teacher, image_set: ImageSet, make_teacher: Callable[..., Teacher]
) -> None:
    other = make_teacher(image_set, arch="convnet1_w4_bn")
    images = torch.randn(4, 3, 8, 8)
    alone = [build_teacher(each)(images) for each in (teacher, other)]
    torch.testing.assert_close(build_teachers((teacher, other))(images), (alone[0] + alone[1]) / 2)
    moved = replace(other, mean=(0.1, 0.2, 0.3), std=(1.0, 0.5, 2.0))
    pixels = torch.randint(256, (4, 3, 8, 8), dtype=torch.uint8)
    seen_by = [build_teacher(each)(to_float(pixels, each.mean, each.std)) for each in (teacher, moved)]
    found = build_teachers((teacher, moved))(to_float(pixels, teacher.mean, teacher.std))
    torch.testing.assert_close(found, (seen_by[0] + seen_by[1]) / 2, rtol=1e-4, atol=1e-4)
    both = relabel(distilled, (teacher, other), RelabelSettings(), epochs=1, batch=6)
    single = [relabel(distilled, (each,), RelabelSettings(), epochs=1, batch=6) for each in (teacher, other)]
    torch.testing.assert_close(both.plain, (single[0].plain + single[1].plain) / 2)
    assert torch.equal(both.epochs[0].views.crop, single[0].epochs[0].views.crop)


def test_one_teacher_named_twice_is_that_teacher(
    distilled: DistilledSet, labels: SoftLabels, teacher: Teacher, val_set: ImageSet
) -> None:
    one, two = (
        evaluate(distilled, (labels,), each, val_set, settings(protocols=("rded",)))
        for each in ((teacher,), (teacher, teacher))
    )
    assert one == two


def test_both_kinds_of_labels_at_once_and_soft_ones_as_ever(
    distilled: DistilledSet, labels: SoftLabels, teacher: Teacher, val_set: ImageSet
) -> None:
    chosen = settings(protocols=("wmdd", "hard"), labels="both", seeds=2)
    ctx = MemoryContext()
    scores = evaluate(distilled, (labels,), (teacher,), val_set, chosen, ctx=ctx).scores
    kinds = (("wmdd", "soft"), ("wmdd", "hard"), ("hard", "hard"))
    assert [(score.protocol, score.labels, score.seed) for score in scores] == [
        (*kind, seed) for kind in kinds for seed in (0, 1)
    ]
    assert len({row["unit"] for row in ctx.rows}) == 6
    soft = evaluate(distilled, (labels,), (teacher,), val_set, settings(seeds=2)).scores
    assert scores[:2] == soft


def test_scores_name_the_seed_of_the_run(
    distilled: DistilledSet, labels: SoftLabels, teacher: Teacher, val_set: ImageSet
) -> None:
    (score,) = evaluate(
        distilled, (labels,), (teacher,), val_set, settings(), ctx=Context(stage="evaluate", seed=7)
    ).scores
    assert (score.distill_seed, score.seed) == (7, 0)


@pytest.mark.parametrize(
    "protocol",
    ["cda", "gvbsm", "edc", "fadrm", "cim", "rded_mosaic", "rded_whole", "dc", "dc_plain", "dc_noaug", "own"],
)
def test_new_protocols_run_and_resume(
    protocol: str, distilled: DistilledSet, labels: SoftLabels, teacher: Teacher, val_set: ImageSet
) -> None:
    chosen = settings(protocols=(protocol,))
    unbroken = evaluate(distilled, (labels,), (teacher,), val_set, chosen, ctx=MemoryContext())
    dying = MemoryContext(dies_after=1)
    with pytest.raises(KilledError):
        evaluate(distilled, (labels,), (teacher,), val_set, chosen, ctx=dying)
    assert evaluate(distilled, (labels,), (teacher,), val_set, chosen, ctx=dying.again()) == unbroken
    assert math.isfinite(unbroken.scores[0].top1)
