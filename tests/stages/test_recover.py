"""Recover: the losses against the equations, classes that do not disturb each other, and resume to the bit."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from memory_context import KilledError, MemoryContext
from wmdd.context import Context
from wmdd.data.loading import to_float
from wmdd.errors import ConfigError, DataError, NumericsError
from wmdd.models.building import build_teacher
from wmdd.models.taps import features_and_logits
from wmdd.settings import RecoverSettings, StatisticsSettings
from wmdd.stages.recover import recover
from wmdd.stages.recovery.forward import teacher_forward
from wmdd.stages.recovery.groups import Group, Targets, barycenter_targets, class_groups, merged_moments
from wmdd.stages.recovery.loss import GroupLoss
from wmdd.stages.recovery.terms import LISTS, recovery_loss
from wmdd.stages.recovery.views import draw_step_views
from wmdd.stages.statistics import statistics
from wmdd.training.images import Losses
from wmdd.training.pixels import start_images, to_pixels
from wmdd.values import Barycenters, ClassStatistics, ImageSet, Teacher

CPU = torch.device("cpu")
Given = tuple[ImageSet, Teacher, ClassStatistics, Barycenters]


@pytest.fixture
def given(image_set: ImageSet, teacher: Teacher, class_statistics: ClassStatistics, barycenters: Barycenters) -> Given:
    return image_set, teacher, class_statistics, barycenters


def settings(**changes: object) -> RecoverSettings:
    return RecoverSettings(**{"iterations": 4, **changes})


def targets_of(given: Given, labels: tuple[int, ...], chosen: RecoverSettings) -> Targets:
    _, _, stats, centres = given
    return barycenter_targets(stats, centres, Group(labels=labels, ipc=centres.atoms.shape[1]), chosen, CPU)


def loss_of_views(given: Given, views: Tensor, chosen: RecoverSettings) -> Losses:
    """Return the loss of all classes' views, which are not drawn but given."""
    model, targets = build_teacher(given[1]), targets_of(given, (0, 1, 2), chosen)
    loss = GroupLoss(
        forward=lambda views, step: teacher_forward(model, views, targets, chosen, step=step, ctx=Context()),
        terms=LISTS[chosen.form](targets, chosen),
    )
    return loss(views, 0)


def batchnorm_inputs(model: nn.Module, images: Tensor) -> list[Tensor]:
    seen: list[Tensor] = []
    layers = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]
    handles = [layer.register_forward_pre_hook(lambda _, given: seen.append(given[0])) for layer in layers]
    model(images)
    for handle in handles:
        handle.remove()
    return seen


def weighted_moments(values: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and biased variance `(F,)` over images that weigh `weights` and all positions, by definition."""
    mean = (weights[:, None] * values.flatten(2).mean(2)).sum(0)
    deviation = (values - mean.view(1, -1, 1, 1)).square().flatten(2).mean(2)
    return mean, (weights[:, None] * deviation).sum(0)


def test_the_squared_loss_equals_the_equation_class_by_class(given: Given) -> None:
    _, teacher, stats, centres = given
    model = build_teacher(teacher)
    images = torch.randn(6, 3, 8, 8)
    chosen = settings(bn_weight=0.3)
    found = loss_of_views(given, images, chosen)
    feature = bn = 0.0
    for label in range(3):
        own = images[2 * label : 2 * label + 2]
        feature += float((features_and_logits(model, own)[0] - centres.atoms[label]).square().sum()) / 2
        start = 0
        for values in batchnorm_inputs(model, own):
            mean, variance = weighted_moments(values, centres.weights[label].float())
            rows = slice(start, start + len(mean))
            bn += float((mean - stats.means[label, rows]).square().sum())
            bn += float((variance - stats.variances[label, rows]).square().sum())
            start += len(mean)
    assert float(found.columns["feature_loss"]) == pytest.approx(feature, rel=1e-5)
    assert float(found.columns["bn_loss"]) == pytest.approx(bn, rel=1e-5)
    assert float(found.total) == pytest.approx(feature + 0.3 * bn, rel=1e-5)


def test_the_reference_loss_is_unsquared_over_the_group_with_equal_weights(given: Given) -> None:
    _, teacher, stats, centres = given
    model = build_teacher(teacher)
    images = torch.randn(6, 3, 8, 8)
    chosen = settings(form="reference", ce_weight=0.5)
    found = loss_of_views(given, images, chosen)
    features, logits = features_and_logits(model, images)
    labels = torch.arange(3).repeat_interleave(2)
    feature = torch.linalg.vector_norm(features - centres.atoms.flatten(0, 1))
    entropy = nn.functional.cross_entropy(logits, labels)
    norms = []
    for label in range(3):
        start = 0
        for values in batchnorm_inputs(model, images[2 * label : 2 * label + 2]):
            mean, variance = weighted_moments(values, torch.tensor([0.5, 0.5]))
            rows = slice(start, start + len(mean))
            norms.append((mean - stats.means[label, rows]).norm() + (variance - stats.variances[label, rows]).norm())
            start += len(mean)
    bn = float(torch.stack(norms).sum()) / 3
    assert float(found.columns["feature_loss"]) == pytest.approx(float(feature), rel=1e-5)
    assert float(found.columns["ce_loss"]) == pytest.approx(float(entropy), rel=1e-5)
    assert float(found.columns["bn_loss"]) == pytest.approx(bn, rel=1e-5)
    assert float(found.total) == pytest.approx(float(feature + 0.5 * entropy) + chosen.bn_weight * bn, rel=1e-5)


def test_global_statistics_are_those_of_all_images_together(given: Given) -> None:
    _, teacher, stats, centres = given
    model = build_teacher(teacher)
    images = torch.randn(6, 3, 8, 8)
    chosen = settings(bn="global")
    found = loss_of_views(given, images, chosen)
    means, variances = merged_moments(stats)
    bn, start = 0.0, 0
    for values in batchnorm_inputs(model, images):
        mean, variance = weighted_moments(values, centres.weights.flatten().float() / 3)
        rows = slice(start, start + len(mean))
        bn += float((mean - means[0, rows]).square().sum() + (variance - variances[0, rows]).square().sum())
        start += len(mean)
    assert float(found.columns["bn_loss"]) == pytest.approx(3 * bn, rel=1e-5)


def test_merged_moments_are_those_of_the_union(
    make_image_set: Callable[..., ImageSet], make_teacher: Callable[..., Teacher]
) -> None:
    images = make_image_set(classes=2, per_class=9)
    keep = torch.tensor([*range(9), 9, 10, 11])  # classes of nine and of three images
    images = replace(images, labels=images.labels[keep], images=type(images.images)(images.images.fetch(keep.tolist())))
    teacher = make_teacher(images)
    alone = replace(images, classes=("all",), labels=torch.zeros(12, dtype=torch.int64))
    apart = statistics(images, teacher, StatisticsSettings())
    together = statistics(alone, replace(teacher, classes=("all",)), StatisticsSettings())
    mean, variance = merged_moments(apart)
    torch.testing.assert_close(mean, together.means, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(variance, together.variances, rtol=1e-6, atol=1e-8)


def test_the_images_that_defined_the_statistics_have_no_batchnorm_loss(given: Given) -> None:
    images, teacher, stats, _ = given
    centres = Barycenters(
        atoms=stats.features.view(3, 12, -1),
        weights=torch.full((3, 12), 1 / 12, dtype=torch.float64),
        costs=torch.zeros(3),
        best_known=torch.zeros(3),
        traces=((),) * 3,
        converged=(True,) * 3,
    )
    real = to_float(images.images.fetch(range(36)), teacher.mean, teacher.std)
    for chosen in (settings(), settings(bn="global"), settings(form="reference")):
        found = loss_of_views((images, teacher, stats, centres), real, chosen)
        assert float(found.columns["bn_loss"]) < (1e-4 if chosen.form == "reference" else 1e-9)
        assert float(found.columns["feature_loss"]) < (1e-3 if chosen.form == "reference" else 1e-7)


def loss_and_gradient(
    given: Given, images: Tensor, labels: tuple[int, ...], chosen: RecoverSettings
) -> tuple[float, Tensor]:
    _, teacher, stats, _ = given
    rows = torch.cat([images[2 * label : 2 * label + 2] for label in labels]).requires_grad_()
    targets = targets_of(given, labels, chosen)
    loss = recovery_loss(build_teacher(teacher), targets, stats, chosen, ctx=Context(seed=4))
    found = loss(rows, 3)
    found.total.backward()
    assert rows.grad is not None
    return float(found.total.detach()), rows.grad


@pytest.mark.parametrize("feature_loss", ["wasserstein", "cross_entropy"])
def test_classes_together_or_one_by_one_have_the_same_loss_and_gradient(feature_loss: str, given: Given) -> None:
    images = torch.randn(6, 3, 8, 8)
    chosen = settings(feature_loss=feature_loss, ce_weight=0.2)
    total, gradient = loss_and_gradient(given, images, (0, 1, 2), chosen)
    alone = [loss_and_gradient(given, images, (label,), chosen) for label in range(3)]
    assert total == pytest.approx(sum(loss for loss, _ in alone), rel=1e-5)
    torch.testing.assert_close(gradient, torch.cat([part for _, part in alone]), rtol=1e-5, atol=1e-6)


def test_grouping_gives_the_same_images_after_twenty_steps(given: Given) -> None:
    together, alone = MemoryContext(), MemoryContext()
    one = recover(*given, settings(iterations=20, batch=100), ctx=together)
    other = recover(*given, settings(iterations=20, batch=2), ctx=alone)
    assert sorted(alone.kept) == ["classes 0 to 0", "classes 1 to 1", "classes 2 to 2"]
    images = together.kept["classes 0 to 2"].tensors["variable/images"]
    apart = torch.cat([alone.kept[name].tensors["variable/images"] for name in sorted(alone.kept)])
    torch.testing.assert_close(images, apart, rtol=0, atol=1e-3)
    assert int((one.images.int() - other.images.int()).abs().max()) <= 1


@pytest.mark.parametrize("form", ["squared", "reference"])
@pytest.mark.parametrize("start", ["noise", "real"])
def test_every_combination_of_losses_runs(form: str, start: str, given: Given) -> None:
    pairs = itertools.product(("wasserstein", "cross_entropy", "none"), ("per_class", "global", "none"))
    for feature_loss, bn in pairs:
        ctx = MemoryContext()
        chosen = settings(form=form, start=start, feature_loss=feature_loss, bn=bn, iterations=2, batch=4)
        found = recover(*given, chosen, ctx=ctx)
        assert found.images.dtype == torch.uint8
        assert found.images.shape == (6, 3, 8, 8)
        assert all(torch.isfinite(saved.tensors["variable/images"]).all() for saved in ctx.kept.values())
        for row in ctx.rows:
            expected = {"wasserstein": {"feature_loss"}, "cross_entropy": {"ce_loss"}, "none": set[str]()}[feature_loss]
            expected = expected | ({"bn_loss"} if bn != "none" else set[str]())
            assert {name for name in row if name.endswith("_loss")} == expected
            assert all(row[name] > 0 for name in expected)
            assert torch.isfinite(torch.tensor([row["loss"], *(row[name] for name in expected)])).all()


def test_the_same_command_gives_the_same_bytes_and_another_seed_others(
    given: Given, global_stream_untouched: Callable[[], None]
) -> None:
    one = recover(*given, settings(), ctx=Context(seed=1))
    global_stream_untouched()
    torch.manual_seed(77)
    assert torch.equal(recover(*given, settings(), ctx=Context(seed=1)).images, one.images)
    assert not torch.equal(recover(*given, settings(), ctx=Context(seed=2)).images, one.images)


@pytest.mark.parametrize("killed_after", [1, 3, 6])
def test_killed_and_resumed_equals_unbroken_bit_for_bit(killed_after: int, given: Given) -> None:
    chosen = settings(batch=4)  # two groups of four saves each
    unbroken = recover(*given, chosen)
    dying = MemoryContext(dies_after=killed_after)
    with pytest.raises(KilledError):
        recover(*given, chosen, ctx=dying)
    second = dying.again()
    assert torch.equal(recover(*given, chosen, ctx=second).images, unbroken.images)
    assert len(second.saves) == 8 - killed_after
    assert second.steps[-1] == (8, 8)


def test_the_loss_falls(given: Given) -> None:
    ctx = MemoryContext()
    recover(*given, settings(iterations=60, crop_min=0.8), ctx=ctx)
    losses = [row["loss"] for row in ctx.rows]
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("form", ["squared", "reference"])
def test_the_product_is_labelled_weighted_and_named(form: str, given: Given) -> None:
    _, teacher, _, centres = given
    found = recover(*given, settings(form=form, iterations=1), method="ours")
    assert found.labels.tolist() == [0, 0, 1, 1, 2, 2]
    expected = centres.weights.flatten().float() if form == "squared" else torch.full((6,), 0.5)
    torch.testing.assert_close(found.weights, expected)
    assert (found.method, found.classes, found.mean, found.std) == ("ours", teacher.classes, teacher.mean, teacher.std)


def test_real_starts_are_images_of_the_class(given: Given) -> None:
    images = given[0]
    found = recover(*given, settings(start="real", feature_loss="none", bn="none", iterations=1))
    pool = images.images.fetch(range(36)).flatten(1)
    where = (found.images.flatten(1)[:, None] == pool[None]).all(2)
    assert where.any(1).all()
    assert images.labels[where.float().argmax(1)].tolist() == [0, 0, 1, 1, 2, 2]


def test_the_reference_form_shares_one_crop_and_the_other_draws_one_for_each_image(given: Given) -> None:
    for form, distinct in (("reference", 1), ("squared", 6)):
        chosen = settings(form=form)
        views = draw_step_views(224, targets_of(given, (0, 1, 2), chosen), 0, chosen, Context())
        assert len({tuple(row) for row in views.crop.tolist()}) == distinct
        assert len(views) == 6


def test_pixels_are_rounded_and_clipped(teacher: Teacher) -> None:
    values = torch.tensor([-5.0, 0.0, 0.4 / 255, 0.6 / 255, 127.4 / 255, 1.0, 9.0]).view(-1, 1, 1, 1)
    plain = replace(teacher, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    found = to_pixels(((values - 0.5) / 0.25).expand(-1, 3, -1, -1), plain)
    assert found[:, 0, 0, 0].tolist() == [0, 0, 0, 1, 127, 255, 255]


def test_steps_are_adams_with_a_cosine_rate(given: Given) -> None:
    """Recompute the second of three steps from Adam's saved moments: its rate is lr (1 + cos(pi / 3)) / 2 = 3/4 lr."""
    chosen = settings(iterations=3, lr=0.01, start="real")
    first, both = MemoryContext(dies_after=1), MemoryContext(dies_after=2)
    for ctx in (first, both):
        with pytest.raises(KilledError):
            recover(*given, chosen, ctx=ctx)
    before, after = first.kept["classes 0 to 2"].tensors, both.kept["classes 0 to 2"].tensors
    mean = after["optimiser/0.exp_avg"] / (1 - 0.5**2)
    scale = (after["optimiser/0.exp_avg_sq"] / (1 - 0.9**2)).sqrt() + 1e-8
    expected = before["variable/images"] - 0.0075 * mean / scale
    black, white = (
        ((torch.tensor([value]) - torch.tensor(given[1].mean)) / torch.tensor(given[1].std)).view(1, -1, 1, 1)
        for value in (0.0, 1.0)
    )
    torch.testing.assert_close(after["variable/images"], expected.clamp(black, white), rtol=1e-5, atol=1e-6)
    plain = starting_images(given, chosen)
    assert float((before["variable/images"] - plain).abs().max()) == pytest.approx(0.01, rel=1e-3)


def starting_images(given: Given, chosen: RecoverSettings) -> Tensor:
    return start_images(given[0], given[1], (0, 1, 2), 2, start=chosen.start, ctx=Context())


def test_about_a_hundred_rows_are_logged(given: Given) -> None:
    ctx = MemoryContext()
    recover(*given, settings(iterations=205), ctx=ctx)
    assert [row["step"] for row in ctx.rows] == [*range(2, 205, 2), 205]


def test_images_stay_within_the_range_of_pixels(given: Given) -> None:
    ctx = MemoryContext()
    recover(*given, settings(lr=5.0), ctx=ctx)
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (given[1].mean, given[1].std))
    pixels = ctx.kept["classes 0 to 2"].tensors["variable/images"] * std + mean
    assert float(pixels.min()) >= -1e-6
    assert float(pixels.max()) <= 1 + 1e-6


def test_groups_hold_whole_classes() -> None:
    def labels(*numbers: int) -> list[tuple[int, ...]]:
        return [group.labels for group in class_groups(*numbers)]

    assert labels(5, 2, 4) == [(0, 1), (2, 3), (4,)]
    assert labels(2, 50, 10) == [(0,), (1,)]
    assert labels(3, 1, 100) == [(0, 1, 2)]
    assert {(group.ipc, group.first) for group in class_groups(5, 2, 4)} == {(2, 0)}


def test_bf16_stays_close_to_fp32(given: Given) -> None:
    full, half = MemoryContext(), MemoryContext(precision="bf16")
    recover(*given, settings(iterations=1), ctx=full)
    recover(*given, settings(iterations=1), ctx=half)
    assert half.rows[0]["loss"] == pytest.approx(full.rows[0]["loss"], rel=0.05)


def test_a_teacher_of_other_classes_or_without_batchnorm_is_refused(
    given: Given, make_teacher: Callable[..., Teacher]
) -> None:
    images, teacher, stats, centres = given
    with pytest.raises(DataError, match="disagree about the classes"):
        recover(images, replace(teacher, classes=("x", "y", "z")), stats, centres, settings())
    with pytest.raises(ConfigError, match="needs a teacher with BatchNorm"):
        recover(images, make_teacher(images, "convnet1_w4"), stats, centres, settings())


@pytest.mark.parametrize("name", ["means", "variances"])
def test_targets_that_are_not_finite_are_said_with_their_class(given: Given, name: str) -> None:
    images, teacher, stats, centres = given
    broken = getattr(stats, name).clone()
    broken[1, 0] = float("nan")
    with pytest.raises(NumericsError, match=f"the targets of class 1 are not finite; got NaN or infinity in {name};"):
        recover(images, teacher, replace(stats, **{name: broken}), centres, settings())
    atoms = centres.atoms.clone()
    atoms[2] = float("inf")
    with pytest.raises(NumericsError, match="the targets of class 2 are not finite; got NaN or infinity in atoms;"):
        recover(images, teacher, stats, replace(centres, atoms=atoms), settings())


def test_a_rate_that_is_far_too_high_is_said_once_for_all_groups(given: Given) -> None:
    ctx, clean = MemoryContext(stage="recover"), MemoryContext(stage="recover")
    recover(*given, settings(lr=1e6, batch=2, iterations=12), ctx=ctx)
    (warning,) = ctx.warnings
    assert warning.kind == "risen loss"
    assert "groups, most that of classes" in warning.text
    assert warning.text.endswith("lower recover.lr or recover.bn_weight")
    recover(*given, settings(batch=2, iterations=12), ctx=clean)
    assert clean.warnings == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # torch hides it itself, where none is an error
def test_a_compiled_teacher_gives_the_same_images(given: Given) -> None:
    plain, fast = (recover(*given, settings(), ctx=Context(compile=compile)) for compile in (False, True))
    assert (plain.images.int() - fast.images.int()).abs().max() <= 1  # grey levels, by the rounding of pixels
