"""The squeeze without labels: no label reaches the backbone, its BatchNorm statistics are those of plain images."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from memory_context import KilledError, MemoryContext
from wmdd.context import Context
from wmdd.data.loading import to_float
from wmdd.methods.scdd import PretrainingSettings, SelfSupervisedSettings
from wmdd.methods.scdd.selfsupervised import selfsupervised
from wmdd.models.building import build_teacher
from wmdd.values import ImageSet, Teacher


def settings(**changes: object) -> SelfSupervisedSettings:
    chosen = {"epochs": 3, "batch": 12, "probe_epochs": 20, "projection": 8, "crop_min": 0.5, **changes}
    return SelfSupervisedSettings(arch="convnet1_w8_bn", stem="small", seed=0, training=PretrainingSettings(**chosen))


def backbone(teacher: Teacher) -> dict[str, torch.Tensor]:
    return {name: value for name, value in teacher.weights.items() if not name.startswith("classifier")}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return set(one) == set(other) and all(torch.equal(value, other[name]) for name, value in one.items())


def test_the_teacher_is_a_classifier_of_its_network(image_set: ImageSet, val_set: ImageSet) -> None:
    ctx = MemoryContext()
    teacher = selfsupervised(image_set, val_set, settings(), ctx=ctx)
    model = build_teacher(teacher)
    images = to_float(image_set.images.fetch(range(36)), teacher.mean, teacher.std)
    accuracy = float((model(images).argmax(1) == image_set.labels).float().mean())
    assert accuracy > 0.9
    assert teacher.top1 > 60
    assert teacher.classes == image_set.classes
    units = {row["unit"] for row in ctx.rows}
    assert units == {"backbone without labels", "last layer", "teacher"}


def test_the_backbone_has_seen_no_label(image_set: ImageSet, val_set: ImageSet) -> None:
    one = selfsupervised(image_set, val_set, settings())
    shuffled = replace(image_set, labels=image_set.labels.roll(7))
    other = selfsupervised(shuffled, val_set, settings())
    assert same(backbone(one), backbone(other))
    assert not same(dict(one.weights), dict(other.weights))


def test_running_statistics_are_those_of_the_images_as_they_are(image_set: ImageSet, val_set: ImageSet) -> None:
    teacher = selfsupervised(image_set, val_set, settings(batch=36))  # one batch of all images
    images = to_float(image_set.images.fetch(range(36)), teacher.mean, teacher.std)
    model = build_teacher(teacher)
    seen = model.get_submodule("blocks.0")(images)
    torch.testing.assert_close(teacher.weights["blocks.1.running_mean"], seen.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(teacher.weights["blocks.1.running_var"], seen.var((0, 2, 3)), rtol=1e-4, atol=1e-5)


def test_the_contrastive_loss_falls(image_set: ImageSet, val_set: ImageSet) -> None:
    ctx = MemoryContext()
    selfsupervised(image_set, val_set, settings(epochs=15, batch=36), ctx=ctx)
    losses = [row["loss"] for row in ctx.rows if row["unit"] == "backbone without labels"]
    assert sum(losses[-3:]) < 0.97 * sum(losses[:3])


def test_grey_images_work_too(make_image_set: Callable[..., ImageSet]) -> None:
    train, val = make_image_set(channels=1), make_image_set(channels=1, per_class=4, split="val", seed=1)
    assert selfsupervised(train, val, settings()).spec.channels == 1


def test_the_same_seed_gives_the_same_bytes(
    image_set: ImageSet, val_set: ImageSet, global_stream_untouched: Callable[[], None]
) -> None:
    one = selfsupervised(image_set, val_set, settings(), ctx=Context(seed=1))
    global_stream_untouched()
    assert same(dict(selfsupervised(image_set, val_set, settings(), ctx=Context(seed=1)).weights), dict(one.weights))
    assert not same(
        dict(selfsupervised(image_set, val_set, settings(), ctx=Context(seed=2)).weights), dict(one.weights)
    )


@pytest.mark.parametrize("killed_after", [1, 2, 3, 10])
def test_killed_and_resumed_equals_unbroken(killed_after: int, image_set: ImageSet, val_set: ImageSet) -> None:
    unbroken = selfsupervised(image_set, val_set, settings())
    dying = MemoryContext(dies_after=killed_after)
    with pytest.raises(KilledError):
        selfsupervised(image_set, val_set, settings(), ctx=dying)
    assert same(dict(selfsupervised(image_set, val_set, settings(), ctx=dying.again()).weights), dict(unbroken.weights))
