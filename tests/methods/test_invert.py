"""Inversion without atoms: SRe2L's loss, CDA's curriculum, MMD, and what all stages owe."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from memory_context import KilledError, MemoryContext
from wmdd import ot
from wmdd.context import Context
from wmdd.data.loading import to_float
from wmdd.errors import ConfigError, DataError
from wmdd.methods.kits.inversion import inversion_groups, invert
from wmdd.models.building import build_teacher
from wmdd.models.taps import features_and_logits
from wmdd.settings import KernelSettings, StatisticsSettings
from wmdd.stages.recovery.forward import TeacherForward, teacher_forward
from wmdd.stages.recovery.groups import Group, Targets, merged_moments, moment_targets
from wmdd.stages.recovery.loss import GroupLoss
from wmdd.stages.recovery.mmd import (
    draw_rows,
    feature_unit,
    kernel_matrix,
    linear_discrepancy,
    rbf_discrepancy,
    real_features,
)
from wmdd.stages.recovery.terms import LISTS, recovery_loss
from wmdd.stages.recovery.views import draw_step_views, smallest_crop, step_views
from wmdd.stages.statistics import statistics
from wmdd.training.images import Losses
from wmdd.values import ClassStatistics, ImageSet, Teacher

CPU = torch.device("cpu")
Given = tuple[ImageSet, Teacher, ClassStatistics]


@pytest.fixture
def given(image_set: ImageSet, teacher: Teacher, class_statistics: ClassStatistics) -> Given:
    return image_set, teacher, class_statistics


def settings(**changes: object) -> KernelSettings:
    chosen = {"iterations": 4, "feature_loss": "cross_entropy", "bn": "global", "crop_min": 1.0, "flip": False}
    return KernelSettings(**{**chosen, **changes})


def targets_of(given: Given, chosen: KernelSettings, ipc: int = 2) -> Targets:
    uniform = torch.full((3, ipc), 1 / ipc, dtype=torch.float64)
    return moment_targets(given[2], Group(labels=(0, 1, 2), ipc=ipc), uniform, chosen, device=CPU)


def loss_of_views(given: Given, views: Tensor, chosen: KernelSettings) -> Losses:
    """Return the loss of all classes' views, which are not drawn but given."""
    model, targets = build_teacher(given[1]), targets_of(given, chosen, len(views) // 3)
    loss = GroupLoss(
        forward=lambda views, step: teacher_forward(model, views, targets, chosen, step=step, ctx=Context()),
        terms=LISTS[chosen.form](targets, chosen),
    )
    return loss(views, 0)


def test_the_reference_form_is_sre2ls_loss(given: Given) -> None:
    _, teacher, stats = given
    model, images = build_teacher(teacher), torch.randn(6, 3, 8, 8)
    chosen = settings(form="reference", bn_weight=0.01, bn_first=10.0)
    found = loss_of_views(given, images, chosen)
    wanted = [part[0].float().split(list(stats.widths)) for part in merged_moments(stats)]
    seen: list[Tensor] = []
    layers = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]
    handles = [layer.register_forward_pre_hook(lambda _, given: seen.append(given[0])) for layer in layers]
    entropy = nn.functional.cross_entropy(model(images), torch.tensor([0, 0, 1, 1, 2, 2]))
    for handle in handles:
        handle.remove()
    norms = 0.0
    for number, values in enumerate(seen):
        mean, variance = values.mean((0, 2, 3)), values.var((0, 2, 3), correction=0)
        term = float((mean - wanted[0][number]).norm() + (variance - wanted[1][number]).norm())
        norms += (10 if number == 0 else 1) * term
    assert float(found.total) == pytest.approx(float(entropy) + 0.01 * norms, rel=1e-4)


@pytest.mark.parametrize("form", ["squared", "reference"])
def test_the_first_layers_factor_counts_its_term_alone(form: str, given: Given) -> None:
    images, terms = torch.randn(6, 3, 8, 8), dict[float, Tensor]()
    for factor in (0.0, 1.0, 3.0):
        chosen = settings(form=form, bn="per_class", bn_first=factor)
        targets = targets_of(given, chosen)
        forward = teacher_forward(build_teacher(given[1]), images, targets, chosen, step=0, ctx=Context())
        (term,) = (term for term in LISTS[form](targets, chosen) if term.name == "bn_loss")
        terms[factor] = term.value(forward)
        assert terms[factor].shape == (3,)
    assert (terms[0.0] < terms[1.0]).all()
    torch.testing.assert_close(terms[3.0] - terms[1.0], 2 * (terms[1.0] - terms[0.0]))


def test_all_training_images_have_no_batchnorm_loss(given: Given) -> None:
    images, teacher, _ = given
    real = to_float(images.images.fetch(range(36)), teacher.mean, teacher.std)
    assert float(loss_of_views(given, real, settings()).columns["bn_loss"]) < 1e-9


@pytest.mark.parametrize(
    ("curriculum", "values"),
    [("cosine", (1.0, 0.6, 0.2)), ("linear", (1.0, 0.6, 0.2)), ("step", (1.0, 1.0, 0.2)), ("none", (0.3, 0.3, 0.3))],
)
def test_curricula_go_from_the_whole_image_to_their_end(curriculum: str, values: tuple[float, ...]) -> None:
    chosen = settings(iterations=100, curriculum=curriculum, curriculum_end=0.2, crop_min=0.3)
    assert [smallest_crop(chosen, step) for step in (0, 50, 100)] == [pytest.approx(value) for value in values]
    early = chosen.with_(curriculum_milestone=0.5)
    at_milestone = values[2]
    assert [smallest_crop(early, step) for step in (0, 50, 99)] == pytest.approx(
        [values[0], at_milestone, at_milestone]
    )


def test_cosine_and_linear_differ_on_the_way() -> None:
    cosine, linear = (settings(iterations=100, curriculum=name, curriculum_end=0.2) for name in ("cosine", "linear"))
    assert smallest_crop(cosine, 25) == pytest.approx(0.2 + 0.8 * (1 + 0.5**0.5) / 2)
    assert smallest_crop(linear, 25) == pytest.approx(0.8)


def test_a_curriculum_begins_with_whole_images_and_ends_with_crops() -> None:
    group = Group(labels=tuple(range(10)), ipc=5)
    chosen = settings(iterations=50, curriculum="cosine")
    first, last = (draw_step_views(32, group, step, chosen, Context()).crop for step in (0, 50))
    assert {tuple(row) for row in first.tolist()} == {(0, 0, 32, 32)}
    assert int((last[:, 2] < 32).sum()) > 40


def test_a_roll_moves_all_images_alike_and_is_drawn_anew_in_each_step() -> None:
    images = torch.arange(2 * 64.0).view(2, 1, 8, 8)
    group, chosen = Group(labels=(0, 1), ipc=1), settings(roll=3)
    offsets: set[tuple[int, int]] = set()
    for step in range(30):
        views = step_views(images, group, step, chosen, Context())
        place = int((views[0, 0] == 0).flatten().nonzero())
        offset = (place // 8, place % 8)
        torch.testing.assert_close(views, images.roll(offset, dims=(2, 3)))
        offsets.add(offset)
    assert all(max(offset) <= 3 for offset in offsets)
    assert len(offsets) > 8


def test_groups_under_global_statistics_hold_as_many_classes_as_fit() -> None:
    def groups(classes: int, ipc: int, batch: int, bn: str = "global") -> list[tuple[tuple[int, ...], int, int]]:
        found = inversion_groups(classes, ipc, settings(bn=bn, batch=batch))
        return [(group.labels, group.first, group.ipc) for group in found]

    assert groups(3, 2, 100) == [((0, 1, 2), 0, 2)]
    assert groups(3, 3, 6) == [((0, 1, 2), 0, 2), ((0, 1, 2), 2, 1)]
    assert groups(3, 2, 2) == [((0, 1), 0, 1), ((2,), 0, 1), ((0, 1), 1, 1), ((2,), 1, 1)]
    assert groups(3, 2, 2, bn="per_class") == [((0,), 0, 2), ((1,), 0, 2), ((2,), 0, 2)]


def kernel_loss(given: Given, chosen: KernelSettings) -> GroupLoss[TeacherForward]:
    _, teacher, stats = given
    return recovery_loss(build_teacher(teacher), targets_of(given, chosen), stats, chosen, ctx=Context())


@pytest.mark.parametrize("form", ["squared", "reference"])
@pytest.mark.parametrize("kernel", ["mmd_linear", "mmd_rbf"])
def test_mmd_is_that_of_each_class_in_squared_features(kernel: str, form: str, given: Given) -> None:
    _, teacher, stats = given
    images, model = torch.randn(6, 3, 8, 8), build_teacher(teacher)
    chosen = settings(feature_loss=kernel, form=form, bn="per_class", bn_weight=0.5)
    found = kernel_loss(given, chosen)(images, 2)
    features = features_and_logits(model, images)[0]
    values: list[float] = []
    for label in range(3):
        real, own = stats.of_class(label), features[2 * label : 2 * label + 2]
        median = ot.median_distance(real.double().numpy())
        unit = 1.0 if kernel == "mmd_linear" else feature_unit(median)
        plain = linear_discrepancy(own, real) if kernel == "mmd_linear" else rbf_discrepancy(own, real, median)
        values.append(unit * float(plain))
    expected = sum(values) if form == "squared" else sum(value**0.5 for value in values) / 3
    feature, bn = float(found.columns["feature_loss"]), float(found.columns["bn_loss"])
    assert feature == pytest.approx(expected, rel=1e-4)
    assert float(found.total) == pytest.approx(feature + 0.5 * bn, rel=1e-5)


def test_near_a_point_every_feature_term_is_the_squared_distance() -> None:
    """One unit for all: so lambda weighs the same beside atoms and beside either kernel."""
    real = torch.randn(1, 6, dtype=torch.float64)
    step = 1e-3 * torch.randn(1, 6, dtype=torch.float64)
    distance = float(step.square().sum())
    for median in (0.5, 40.0):
        value = feature_unit(median) * rbf_discrepancy(real + step, real, median)
        assert float(value) == pytest.approx(distance, rel=1e-4)
    assert float(linear_discrepancy(real + step, real)) == pytest.approx(distance, rel=1e-9)


def test_running_statistics_are_the_teachers_own(given: Given) -> None:
    _, teacher, stats = given
    model, images = build_teacher(teacher), torch.randn(6, 3, 8, 8)
    layers = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]
    for number, layer in enumerate(layers):
        assert layer.running_mean is not None
        assert layer.running_var is not None
        layer.running_mean.fill_(0.1 * number)
        layer.running_var.fill_(1.0 + number)
    chosen = settings(bn="running", form="reference", bn_first=10.0)
    found = recovery_loss(model, targets_of(given, chosen), stats, chosen, ctx=Context())(images, 0)
    seen: list[Tensor] = []
    handles = [layer.register_forward_pre_hook(lambda _, given: seen.append(given[0])) for layer in layers]
    model(images)
    for handle in handles:
        handle.remove()
    norms = 0.0
    for number, values in enumerate(seen):
        mean, variance = values.mean((0, 2, 3)), values.var((0, 2, 3), correction=0)
        norm = float((mean - 0.1 * number).norm() + (variance - 1.0 - number).norm())
        norms += (10 if number == 0 else 1) * norm
    assert float(found.columns["bn_loss"]) == pytest.approx(norms, rel=1e-4)


def test_mmd_falls_and_its_classes_do_not_disturb_each_other(given: Given) -> None:
    chosen = settings(feature_loss="mmd_rbf", bn="per_class", iterations=20)
    together, alone = MemoryContext(), MemoryContext()
    one = invert(*given, chosen, ipc=2, method="mmd", ctx=together)
    other = invert(*given, chosen.with_(batch=2), ipc=2, method="mmd", ctx=alone)
    assert int((one.images.int() - other.images.int()).abs().max()) <= 1
    rows = [row["feature_loss"] for row in together.rows]
    assert rows[-1] < 0.8 * rows[0]


def test_a_cross_entropy_term_is_added_to_mmd_as_it_is(given: Given) -> None:
    images = torch.randn(6, 3, 8, 8)
    chosen = settings(feature_loss="mmd_linear", bn="per_class", bn_weight=0.5)
    plain = kernel_loss(given, chosen)(images, 2)
    found = kernel_loss(given, chosen.with_(ce_weight=0.3))(images, 2)
    entropy = 3 * nn.functional.cross_entropy(build_teacher(given[1])(images), torch.tensor([0, 0, 1, 1, 2, 2]))
    assert float(found.columns["ce_loss"]) == pytest.approx(float(entropy), rel=1e-4)
    assert float(found.total - plain.total) == pytest.approx(0.3 * float(entropy), rel=1e-4)


def test_a_step_compares_with_some_of_many_real_features(given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wmdd.stages.recovery.mmd.ROWS", 5)
    seen: list[Tensor] = []

    def spy(features: Tensor, real: Tensor) -> Tensor:
        seen.append(real)
        return linear_discrepancy(features, real)

    monkeypatch.setattr("wmdd.stages.recovery.mmd.linear_discrepancy", spy)
    images = torch.randn(6, 3, 8, 8)
    loss = kernel_loss(given, settings(feature_loss="mmd_linear"))
    loss(images, 0)
    loss(images, 1)
    assert [len(rows) for rows in seen] == [5] * 6
    assert not torch.equal(seen[0], seen[3])


def test_what_no_image_changes_is_taken_once_and_gradients_are_those_of_the_discrepancy(
    given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wmdd.stages.recovery.mmd.ROWS", 5)
    (real,) = real_features(given[2], (1,), "mmd_rbf", Context())
    assert real.median is not None
    rows = draw_rows(real.rows, 5, Context().generator("real", 1, 7))
    features = torch.randn(2, rows.shape[1], requires_grad=True)
    value = real.discrepancy(features, 7)
    plain = feature_unit(real.median) * rbf_discrepancy(features, rows, real.median)
    gradients = [torch.autograd.grad(each, features)[0] for each in (value, plain)]
    assert torch.equal(*gradients)
    apart = real.within - float(kernel_matrix(rows, rows, real.median).mean())
    assert float((value - plain).detach()) == pytest.approx(feature_unit(real.median) * apart, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("feature_loss", ["cross_entropy", "mmd_linear", "mmd_rbf", "none"])
@pytest.mark.parametrize("ipc", [1, 3])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_loss_gives_a_valid_set(
    feature_loss: str,
    ipc: int,
    channels: int,
    make_image_set: Callable[..., ImageSet],
    make_teacher: Callable[..., Teacher],
) -> None:
    images = make_image_set(channels=channels)
    teacher = make_teacher(images)
    stats = statistics(images, teacher, StatisticsSettings())
    for bn in ("per_class", "global", "running", "none"):
        found = invert(images, teacher, stats, settings(feature_loss=feature_loss, bn=bn, batch=4), ipc=ipc, method="x")
        assert found.images.shape == (3 * ipc, channels, 8, 8)
        assert found.labels.tolist() == [label for label in range(3) for _ in range(ipc)]
        torch.testing.assert_close(found.weights, torch.full((3 * ipc,), 1 / ipc))
        assert found.method == "x"


@pytest.mark.parametrize("killed_after", [1, 5, 9])
@pytest.mark.parametrize("feature_loss", ["cross_entropy", "mmd_rbf"])
def test_killed_and_resumed_equals_unbroken(killed_after: int, feature_loss: str, given: Given) -> None:
    chosen = settings(feature_loss=feature_loss, batch=3, curriculum="linear", roll=2)  # three groups of four saves
    unbroken = invert(*given, chosen, ipc=3, method="x")
    dying = MemoryContext(dies_after=killed_after)
    with pytest.raises(KilledError):
        invert(*given, chosen, ipc=3, method="x", ctx=dying)
    assert torch.equal(invert(*given, chosen, ipc=3, method="x", ctx=dying.again()).images, unbroken.images)


def test_images_of_a_class_start_and_look_different_in_different_groups(given: Given) -> None:
    chosen = settings(batch=3, start="real", lr=1e-9)
    found = invert(*given, chosen, ipc=4, method="x")
    assert len(found.images.flatten(1).unique(dim=0)) == 12
    noise = invert(*given, settings(batch=3, iterations=1), ipc=4, method="x")
    assert len(noise.images.flatten(1).unique(dim=0)) == 12


def test_what_needs_atoms_or_does_not_fit_is_refused(given: Given, make_teacher: Callable[..., Teacher]) -> None:
    images, teacher, stats = given
    with pytest.raises(ConfigError, match="feature_loss: unknown choice; got 'wasserstein'"):
        settings(feature_loss="wasserstein")
    with pytest.raises(ConfigError, match="needs a teacher with BatchNorm"):
        invert(images, make_teacher(images, "convnet1_w4"), stats, settings(), ipc=1, method="x")
    with pytest.raises(DataError, match="disagree about the classes"):
        invert(images, replace(teacher, classes=("a", "b", "c")), stats, settings(), ipc=1, method="x")
