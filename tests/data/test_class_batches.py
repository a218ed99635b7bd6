"""Batches of one class."""

from collections.abc import Callable

import torch

from wmdd.data.class_batches import ClassBatches
from wmdd.data.inputs import Normalisation
from wmdd.data.loading import to_float
from wmdd.values import ImageSet

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)
FORM = Normalisation(image_size=8, mean=MEAN, std=STD)


def batches(images: ImageSet) -> ClassBatches:
    return ClassBatches(images=images, form=FORM, device=torch.device("cpu"))


def test_images_are_of_the_class_and_without_repeats(image_set: ImageSet) -> None:
    found = batches(image_set).draw(1, 7, torch.Generator().manual_seed(4))
    own = to_float(image_set.images.fetch(image_set.of_class(1).tolist()), MEAN, STD)
    same = (found[:, None] == own[None]).flatten(2).all(2)
    assert same.sum(1).tolist() == [1] * 7
    assert int(same.any(0).sum()) == 7


def test_a_class_with_fewer_images_gives_all(make_image_set: Callable[..., ImageSet]) -> None:
    few = make_image_set(per_class=3, channels=1)
    form = Normalisation(image_size=8, mean=(0.5,), std=(0.2,))
    found = ClassBatches(images=few, form=form, device=torch.device("cpu"))
    assert found.draw(0, 99, torch.Generator()).shape == (3, 1, 8, 8)


def test_the_callers_stream_decides(image_set: ImageSet) -> None:
    draw = batches(image_set).draw
    first, second, other = (draw(0, 5, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
