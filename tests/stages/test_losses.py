"""The losses stage and the features of real views: known answers, plain loops, and what a stop leaves alone."""

from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from memory_context import KilledError, MemoryContext
from wmdd.context import Context
from wmdd.data.inputs import distilled_inputs, in_form_of, network_inputs
from wmdd.errors import DataError
from wmdd.evaluation.loss_cards import LOSSES
from wmdd.models.building import build_teacher
from wmdd.models.taps import features_and_logits
from wmdd.settings import NoSettings, StatisticsSettings, ViewSettings
from wmdd.stages import losses as stage
from wmdd.stages.diagnose import diagnose
from wmdd.stages.losses import losses
from wmdd.stages.statistics import statistics
from wmdd.stages.view_features import view_features
from wmdd.values import ClassFeatures, ClassStatistics, DistilledSet, ImageSet, SetLosses, Teacher

WHOLE = ViewSettings(crop_min=1.0, flip=False)
CROPPED = ViewSettings(crop_min=0.3)


@pytest.fixture
def views(image_set: ImageSet, teacher: Teacher) -> ClassFeatures:
    return view_features(image_set, teacher, WHOLE)


def measured(
    distilled: DistilledSet,
    teacher: Teacher,
    real: tuple[ClassStatistics, ClassFeatures],
    train: ImageSet,
    settings: ViewSettings = WHOLE,
    **how: Any,
) -> SetLosses:
    return losses(distilled, teacher, real, train, settings, **how)


def same(one: SetLosses, other: SetLosses) -> bool:
    return one.values.keys() == other.values.keys() and all(
        torch.equal(one.values[name], other.values[name]) for name in one.values
    )


def test_every_loss_has_a_card_and_a_value_for_each_class(
    distilled: DistilledSet,
    teacher: Teacher,
    class_statistics: ClassStatistics,
    views: ClassFeatures,
    image_set: ImageSet,
    global_stream_untouched: Callable[[], None],
) -> None:
    found = measured(distilled, teacher, (class_statistics, views), image_set)
    assert found.set == "drawn"
    assert set(found.values) == set(LOSSES)
    for name, values in found.values.items():
        assert (values.shape, values.dtype) == ((1 if name == "bn_global" else 3,), torch.float64), name
        assert bool((values > 0).all()), name
    assert found.means["w2_views"] == float(found.values["w2_views"].mean())
    global_stream_untouched()


def test_all_real_images_have_no_loss(
    image_set: ImageSet,
    teacher: Teacher,
    class_statistics: ClassStatistics,
    views: ClassFeatures,
    make_distilled: Callable[..., DistilledSet],
) -> None:
    whole = replace(make_distilled(image_set, ipc=12), weights=torch.full((36,), 1 / 12))
    found = measured(whole, teacher, (class_statistics, views), image_set)
    assert found.values["cross_entropy"].max() > 0.01
    for name, values in found.values.items():
        if name != "cross_entropy":
            assert values.abs().max() < 1e-4, name


def test_shifted_features_are_at_the_squared_length_of_the_shift(
    image_set: ImageSet,
    teacher: Teacher,
    class_statistics: ClassStatistics,
    views: ClassFeatures,
    make_distilled: Callable[..., DistilledSet],
) -> None:
    """W2² between a cloud and its translate is the squared length of the translation, and so is linear MMD²."""
    whole = replace(make_distilled(image_set, ipc=12), weights=torch.full((36,), 1 / 12))
    shift = torch.linspace(-1, 2, views.features.shape[1])
    moved = replace(views, features=views.features + shift)
    statistics_moved = replace(class_statistics, features=class_statistics.features + shift)
    found = measured(whole, teacher, (statistics_moved, moved), image_set)
    expected = torch.full((3,), float(shift.square().sum()), dtype=torch.float64)
    for name in ("w2_images", "w2_views_to_images", "w2_views", "mmd_linear"):
        torch.testing.assert_close(found.values[name], expected, rtol=1e-5, atol=1e-5, msg=name)


def test_whole_images_are_at_the_cost_of_their_diagnosis(
    distilled: DistilledSet, teacher: Teacher, class_statistics: ClassStatistics, views: ClassFeatures,
    image_set: ImageSet,
) -> None:  # fmt: skip
    costs = diagnose(distilled, teacher, class_statistics, NoSettings()).costs
    found = measured(distilled, teacher, (class_statistics, views), image_set, CROPPED)
    torch.testing.assert_close(found.values["w2_images"], costs, rtol=1e-6, atol=1e-9)
    whole = measured(distilled, teacher, (class_statistics, views), image_set)  # where every view is the image
    for name in ("w2_views_to_images", "w2_views"):
        torch.testing.assert_close(whole.values[name], costs, rtol=1e-4, atol=1e-6, msg=name)
        assert not torch.allclose(found.values[name], costs, rtol=1e-3), name


def test_moments_and_cross_entropy_against_plain_code(
    distilled: DistilledSet, teacher: Teacher, class_statistics: ClassStatistics, views: ClassFeatures,
    image_set: ImageSet,
) -> None:  # fmt: skip
    """With whole views and equal weights the moments of a set are those of the statistics stage on its images."""
    equal = replace(distilled, weights=torch.full((6,), 0.5))
    found = measured(equal, teacher, (class_statistics, views), image_set)
    chosen = torch.cat([image_set.of_class(label)[:2] for label in range(3)])
    held = type(image_set.images)(image_set.images.fetch(chosen.tolist()))  # pyright: ignore[reportCallIssue]
    few = replace(image_set, labels=image_set.labels[chosen], images=held)
    own = statistics(few, teacher, StatisticsSettings())
    of_classes = (own.means - class_statistics.means).square().sum(1) + (
        own.variances - class_statistics.variances
    ).square().sum(1)
    torch.testing.assert_close(found.values["bn_class"], of_classes, rtol=1e-3, atol=1e-6)
    pooled = [
        statistics(
            replace(each, labels=torch.zeros(len(each), dtype=torch.int64), classes=("all",)),
            replace(teacher, classes=("all",)),
            StatisticsSettings(),
        )
        for each in (few, image_set)
    ]
    expected = sum(
        (getattr(pooled[0], part)[0] - getattr(pooled[1], part)[0]).square().sum() for part in ("means", "variances")
    )
    torch.testing.assert_close(found.values["bn_global"][0], expected, rtol=1e-3, atol=1e-6)
    with torch.no_grad():
        logits = build_teacher(teacher)(distilled_inputs(equal, slice(None), torch.device("cpu")))
    entropy = torch.nn.functional.cross_entropy(logits, equal.labels, reduction="none").view(3, 2).mean(1).double()
    torch.testing.assert_close(found.values["cross_entropy"], entropy, rtol=1e-4, atol=1e-6)


def test_weights_count_where_recovery_has_them(
    distilled: DistilledSet, teacher: Teacher, class_statistics: ClassStatistics, views: ClassFeatures,
    image_set: ImageSet,
) -> None:  # fmt: skip
    equal = replace(distilled, weights=torch.full((6,), 0.5))
    one, other = (measured(each, teacher, (class_statistics, views), image_set) for each in (distilled, equal))
    changed = {name for name in LOSSES if not torch.equal(one.values[name], other.values[name])}
    assert changed == {"w2_images", "w2_views_to_images", "w2_views", "bn_class", "bn_global"}


def test_groups_of_classes_change_nothing(
    distilled: DistilledSet, teacher: Teacher, class_statistics: ClassStatistics, views: ClassFeatures,
    image_set: ImageSet, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    together = measured(distilled, teacher, (class_statistics, views), image_set, CROPPED)
    monkeypatch.setattr(stage, "BATCH", 2)
    alone = measured(distilled, teacher, (class_statistics, views), image_set, CROPPED)
    for name in LOSSES:
        torch.testing.assert_close(together.values[name], alone.values[name], rtol=1e-4, atol=1e-6, msg=name)


def test_gradients_do_not_depend_on_the_order_of_images(
    image_set: ImageSet, teacher: Teacher, class_statistics: ClassStatistics, views: ClassFeatures,
    make_distilled: Callable[..., DistilledSet],
) -> None:  # fmt: skip
    plain = replace(make_distilled(image_set, ipc=3), weights=torch.full((9,), 1 / 3))
    order = torch.cat([3 * label + torch.tensor([2, 0, 1]) for label in range(3)])
    turned = replace(plain, images=plain.images[order])
    one, other = (measured(each, teacher, (class_statistics, views), image_set) for each in (plain, turned))
    torch.testing.assert_close(one.values["gradient"], other.values["gradient"], rtol=1e-4, atol=1e-5)
    assert float(one.values["gradient"].min()) > 0


def test_w2_of_views_is_the_best_assignment(
    image_set: ImageSet,
    teacher: Teacher,
    class_statistics: ClassStatistics,
    make_distilled: Callable[..., DistilledSet],
) -> None:
    """As many equal points on both sides: the plan is a permutation, found here by trying all."""
    distilled = replace(make_distilled(image_set, ipc=4), weights=torch.full((12,), 0.25))
    model = build_teacher(teacher)
    others = torch.cat([image_set.of_class(label)[6:10] for label in range(3)])
    with torch.no_grad():
        own, _ = features_and_logits(model, distilled_inputs(distilled, slice(None), torch.device("cpu")))
        real, _ = features_and_logits(model, network_inputs(image_set.images.fetch(others.tolist()), teacher))
    found = measured(
        distilled, teacher, (class_statistics, ClassFeatures(features=real, counts=(4, 4, 4))), image_set
    ).values["w2_views"]
    for label in range(3):
        rows = slice(4 * label, 4 * label + 4)
        table = torch.cdist(own[rows].double(), real[rows].double()).square().numpy()
        best = min(np.mean([table[i, j] for i, j in enumerate(order)]) for order in permutations(range(4)))
        assert float(found[label]) == pytest.approx(best, rel=1e-4)


def test_a_set_in_another_normalisation_is_the_same_set(
    distilled: DistilledSet, teacher: Teacher, class_statistics: ClassStatistics, views: ClassFeatures,
    image_set: ImageSet,
) -> None:  # fmt: skip
    shown = distilled_inputs(distilled, slice(None), torch.device("cpu"))
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    of = [torch.tensor(each).view(-1, 1, 1) for each in (teacher.mean, teacher.std, mean, std)]
    other = replace(distilled, mean=mean, std=std, exact=(shown * of[1] + of[0] - of[2]) / of[3])
    one, two = (measured(each, teacher, (class_statistics, views), image_set) for each in (distilled, other))
    for name in LOSSES:
        torch.testing.assert_close(one.values[name], two.values[name], rtol=1e-3, atol=1e-5, msg=name)
    assert in_form_of(distilled, teacher) is distilled


def test_a_teacher_without_batchnorm_has_no_such_terms(
    image_set: ImageSet, make_teacher: Callable[..., Teacher], distilled: DistilledSet
) -> None:
    teacher = make_teacher(image_set, "convnet2_w4_in")
    real = (statistics(image_set, teacher, StatisticsSettings()), view_features(image_set, teacher, WHOLE))
    found = measured(distilled, teacher, real, image_set)
    assert set(LOSSES) - set(found.values) == {"bn_class", "bn_global"}


@pytest.mark.parametrize("dies_after", [2, 4, 6])
def test_a_stop_changes_nothing(
    distilled: DistilledSet, teacher: Teacher, class_statistics: ClassStatistics, views: ClassFeatures,
    image_set: ImageSet, dies_after: int,
) -> None:  # fmt: skip
    real = (class_statistics, views)
    whole = measured(distilled, teacher, real, image_set, CROPPED, ctx=MemoryContext())
    ctx = MemoryContext(dies_after=dies_after)
    with pytest.raises(KilledError):
        measured(distilled, teacher, real, image_set, CROPPED, ctx=ctx)
    assert same(measured(distilled, teacher, real, image_set, CROPPED, ctx=ctx.again()), whole)


def test_the_seed_decides_views_and_networks(
    distilled: DistilledSet, teacher: Teacher, class_statistics: ClassStatistics, views: ClassFeatures,
    image_set: ImageSet,
) -> None:  # fmt: skip
    one, again, other = (
        measured(distilled, teacher, (class_statistics, views), image_set, CROPPED, ctx=Context(seed=seed))
        for seed in (1, 1, 2)
    )
    assert same(one, again)
    assert {name for name in LOSSES if torch.equal(one.values[name], other.values[name])} == {"w2_images"}


def test_records_that_do_not_belong_together_are_refused(
    distilled: DistilledSet, teacher: Teacher, class_statistics: ClassStatistics, views: ClassFeatures,
    image_set: ImageSet,
) -> None:  # fmt: skip
    other = replace(distilled, classes=("a", "b", "c"))
    with pytest.raises(DataError, match="disagree about the classes"):
        measured(other, teacher, (class_statistics, views), image_set)
    with pytest.raises(DataError, match="different numbers of classes; got 3 and 2; give those of one teacher"):
        measured(distilled, teacher, (class_statistics, replace(views, counts=(12, 24))), image_set)


def features_of(images: ImageSet, teacher: Teacher) -> Tensor:
    with torch.no_grad():
        return features_and_logits(
            build_teacher(teacher), network_inputs(images.images.fetch(range(len(images))), teacher)
        )[0]


def test_whole_views_of_real_images_are_the_images(image_set: ImageSet, teacher: Teacher, views: ClassFeatures) -> None:
    assert views.counts == (12, 12, 12)
    torch.testing.assert_close(views.features, features_of(image_set, teacher), rtol=1e-4, atol=1e-5)
    cropped = view_features(image_set, teacher, CROPPED)
    assert not torch.allclose(cropped.features, views.features, rtol=1e-2)
    mixed = view_features(image_set, teacher, CROPPED.with_(cutmix=1.0))
    assert torch.equal(mixed.features, cropped.features)


def test_views_are_those_of_a_draw_from_large_classes(
    image_set: ImageSet, teacher: Teacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wmdd.stages.view_features.IMAGES", 5)
    monkeypatch.setattr("wmdd.stages.view_features.BATCH", 2)
    found = view_features(image_set, teacher, WHOLE)
    assert found.counts == (5, 5, 5)
    distances = torch.cdist(found.features.double(), features_of(image_set, teacher).double())
    nearest = distances.argmin(1)
    assert float(distances.min(1).values.max()) < 1e-3
    assert nearest.unique().numel() == 15
    assert torch.equal(image_set.labels[nearest], torch.arange(3).repeat_interleave(5))


def test_a_stop_between_classes_changes_no_view(image_set: ImageSet, teacher: Teacher) -> None:
    whole = view_features(image_set, teacher, CROPPED)
    ctx = MemoryContext(dies_after=2)
    with pytest.raises(KilledError):
        view_features(image_set, teacher, CROPPED, ctx=ctx)
    assert torch.equal(view_features(image_set, teacher, CROPPED, ctx=ctx.again()).features, whole.features)
