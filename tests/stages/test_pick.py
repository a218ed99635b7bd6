"""Random real images: whole, distinct, by class, and by the seed alone."""

from collections.abc import Callable

import torch

from wmdd.context import Context
from wmdd.stages.pick import PickSettings, pick_random
from wmdd.values import ImageSet, Teacher


def test_images_are_real_distinct_and_class_by_class(image_set: ImageSet, teacher: Teacher) -> None:
    picked = pick_random(image_set, teacher, PickSettings(), ipc=5)
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
    one = pick_random(image_set, teacher, PickSettings(), ipc=4, ctx=Context(seed=1))
    same = pick_random(image_set, teacher, PickSettings(), ipc=4, ctx=Context(seed=1))
    other = pick_random(image_set, teacher, PickSettings(), ipc=4, ctx=Context(seed=2))
    assert torch.equal(one.images, same.images)
    assert not torch.equal(one.images, other.images)
    global_stream_untouched()


def test_all_images_can_be_taken(image_set: ImageSet, teacher: Teacher) -> None:
    picked = pick_random(image_set, teacher, PickSettings(), ipc=12)
    assert sorted(map(int, picked.images.flatten(1).long().sum(1))) == sorted(
        map(int, image_set.images.fetch(range(36)).flatten(1).long().sum(1))
    )
