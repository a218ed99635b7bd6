"""Real images: random ones by the seed alone, coresets by the teacher's features; whole, distinct, class by class."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch

from memory_context import KilledError, MemoryContext
from wmdd.context import Context
from wmdd.errors import DataError
from wmdd.methods.herding.distill import HERDING
from wmdd.methods.k_center.distill import K_CENTER
from wmdd.methods.k_means import KMeansSettings
from wmdd.methods.k_means.distill import K_MEANS, pick_k_means
from wmdd.methods.random.distill import RANDOM, pick_random
from wmdd.settings import NoSettings, StatisticsSettings
from wmdd.stages.statistics import statistics
from wmdd.values import ClassStatistics, DistilledSet, ImageSet, Teacher


def test_images_are_real_distinct_and_class_by_class(image_set: ImageSet, teacher: Teacher) -> None:
    picked = pick_random(image_set, teacher, NoSettings(), ipc=5)
    assert picked.labels.tolist() == [0] * 5 + [1] * 5 + [2] * 5
    assert picked.ipc == 5
    pool = image_set.images.fetch(range(len(image_set))).flatten(1)
    where = (picked.images.flatten(1)[:, None] == pool[None]).all(2)
    assert where.sum(1).tolist() == [1] * 15
    positions = where.float().argmax(1)
    assert len(set(positions.tolist())) == 15
    assert torch.equal(image_set.labels[positions], picked.labels)
    assert torch.allclose(picked.weights.view(3, 5).sum(1), torch.ones(3))
    assert (picked.method, picked.classes, picked.mean, picked.std) == (
        "random",
        teacher.classes,
        teacher.mean,
        teacher.std,
    )


def test_the_seed_decides(image_set: ImageSet, teacher: Teacher, global_stream_untouched: Callable[[], None]) -> None:
    one = pick_random(image_set, teacher, NoSettings(), ipc=4, ctx=Context(seed=1))
    same = pick_random(image_set, teacher, NoSettings(), ipc=4, ctx=Context(seed=1))
    other = pick_random(image_set, teacher, NoSettings(), ipc=4, ctx=Context(seed=2))
    assert torch.equal(one.images, same.images)
    assert not torch.equal(one.images, other.images)
    global_stream_untouched()


def test_all_images_can_be_taken(image_set: ImageSet, teacher: Teacher) -> None:
    picked = pick_random(image_set, teacher, NoSettings(), ipc=12)
    assert sorted(map(int, picked.images.flatten(1).long().sum(1))) == sorted(
        map(int, image_set.images.fetch(range(36)).flatten(1).long().sum(1))
    )


CORESETS: dict[str, Callable[..., DistilledSet]] = {
    "herding": partial(HERDING.run, settings=NoSettings()),
    "k-center": partial(K_CENTER.run, settings=NoSettings()),
    "k-means": partial(pick_k_means, settings=KMeansSettings()),
}


def positions(picked: DistilledSet, real: ImageSet) -> list[int]:
    """Return where the images of a set stand among the real ones."""
    pool = real.images.fetch(range(len(real))).flatten(1)
    where = (picked.images.flatten(1)[:, None] == pool[None]).all(2)
    assert where.sum(1).tolist() == [1] * len(picked.images)
    return where.float().argmax(1).tolist()


def mixed(images: ImageSet) -> tuple[ImageSet, torch.Tensor]:
    """Return the same images in another order, so that the classes lie among each other, and that order."""
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(5))
    held = type(images.images)(images.images.fetch(order.tolist()))  # type: ignore[call-arg]
    return replace(images, images=held, labels=images.labels[order]), order


@pytest.mark.parametrize("name", CORESETS)
def test_coresets_are_real_images_of_equal_weight_class_by_class(
    name: str, image_set: ImageSet, teacher: Teacher, class_statistics: ClassStatistics
) -> None:
    ctx = MemoryContext()
    picked = CORESETS[name](image_set, teacher, class_statistics, ipc=4, ctx=ctx)
    found = positions(picked, image_set)
    assert len(set(found)) == 12
    assert image_set.labels[found].tolist() == picked.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert picked.weights.tolist() == [0.25] * 12
    assert (picked.method, picked.classes, picked.mean) == (name, teacher.classes, teacher.mean)
    assert [position for row in ctx.rows for position in row["positions"]] == found
    assert ctx.steps == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("name", CORESETS)
def test_a_coreset_of_one_is_the_image_whose_unit_feature_is_nearest_to_the_mean(
    name: str, image_set: ImageSet, teacher: Teacher
) -> None:
    images, order = mixed(image_set)
    seen = statistics(images, teacher, StatisticsSettings())
    found = positions(CORESETS[name](images, teacher, seen, ipc=1), images)
    for label, position in enumerate(found):
        features = torch.nn.functional.normalize(seen.of_class(label).double())
        nearest = (features - features.mean(0)).norm(dim=1).argmin()
        assert position == images.of_class(label)[nearest]
    if name == "herding":  # rows of features and positions of images belong together, whatever the order
        seen = statistics(image_set, teacher, StatisticsSettings())
        assert order[found].tolist() == positions(CORESETS[name](image_set, teacher, seen, ipc=1), image_set)


@pytest.mark.parametrize("name", CORESETS)
def test_a_coreset_that_was_stopped_ends_the_same(
    name: str, image_set: ImageSet, teacher: Teacher, class_statistics: ClassStatistics
) -> None:
    whole = CORESETS[name](image_set, teacher, class_statistics, ipc=5, ctx=MemoryContext(stage=name))
    dying = MemoryContext(stage=name, dies_after=2)
    with pytest.raises(KilledError):
        CORESETS[name](image_set, teacher, class_statistics, ipc=5, ctx=dying)
    again = dying.again()
    assert torch.equal(CORESETS[name](image_set, teacher, class_statistics, ipc=5, ctx=again).images, whole.images)
    assert again.steps == [(3, 3)]


@pytest.mark.parametrize("name", CORESETS)
def test_coresets_refuse_what_does_not_belong_together(
    name: str, image_set: ImageSet, teacher: Teacher, class_statistics: ClassStatistics
) -> None:
    with pytest.raises(DataError, match="has 12 images for training; got ipc 13"):
        CORESETS[name](image_set, teacher, class_statistics, ipc=13)
    with pytest.raises(DataError, match="disagree about the classes"):
        CORESETS[name](image_set, replace(teacher, classes=("a", "b", "c")), class_statistics, ipc=1)
    other = replace(class_statistics, counts=(13, 11, 12))
    with pytest.raises(DataError, match="statistics and images do not belong together"):
        CORESETS[name](image_set, teacher, other, ipc=1)


def test_only_k_means_draws(image_set: ImageSet, teacher: Teacher, class_statistics: ClassStatistics) -> None:
    assert [stage.name for stage in (RANDOM, HERDING, K_CENTER, K_MEANS) if stage.seeded] == ["random", "k-means"]
    for name in ("herding", "k-center"):
        one, other = (
            CORESETS[name](image_set, teacher, class_statistics, ipc=5, ctx=Context(seed=seed)) for seed in (1, 2)
        )
        assert torch.equal(one.images, other.images)
