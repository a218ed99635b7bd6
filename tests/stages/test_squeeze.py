"""Squeeze: a teacher that learned something, or the user's own, checked."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from memory_context import KilledError, MemoryContext
from wmdd.context import Context
from wmdd.data.inputs import Normalisation
from wmdd.data.loading import channel_moments, to_float
from wmdd.errors import ConfigError
from wmdd.evaluation.accuracy import accuracies
from wmdd.models.building import build_model, build_teacher
from wmdd.models.pretrained import Pretrained
from wmdd.settings import SqueezeSettings
from wmdd.stages.squeeze import checkpoint_digest, squeeze
from wmdd.values import ImageSet, ModelSpec, Teacher

ARCH = "convnet2_w8_bn"


def settings(**changes: object) -> SqueezeSettings:
    return SqueezeSettings(**{"arch": ARCH, "epochs": 3, "batch": 12, "lr": 0.05, **changes})


def same_weights(one: Teacher, other: Teacher) -> bool:
    return all(torch.equal(one.weights[name], other.weights[name]) for name in one.weights)


def test_the_teacher_learns_and_carries_what_belongs_to_it(image_set: ImageSet, val_set: ImageSet) -> None:
    teacher = squeeze(image_set, val_set, settings(epochs=10, crop_min=0.5))
    assert teacher.top1 > 60
    assert teacher.classes == image_set.classes
    assert (teacher.mean, teacher.std) == channel_moments(image_set)
    assert teacher.spec == ModelSpec(arch=ARCH, num_classes=3, channels=3, image_size=8, stem="small")
    with torch.no_grad():
        logits = build_teacher(teacher)(to_float(val_set.images.fetch(range(12)), teacher.mean, teacher.std))
    right = (logits.argmax(1) == val_set.labels).float().mean()
    assert float(right) * 100 == pytest.approx(teacher.top1)


def test_the_seed_decides_and_nothing_else(
    image_set: ImageSet, val_set: ImageSet, global_stream_untouched: Callable[[], None]
) -> None:
    one = squeeze(image_set, val_set, settings(), ctx=Context(seed=1))
    global_stream_untouched()
    torch.manual_seed(99)
    assert same_weights(squeeze(image_set, val_set, settings(), ctx=Context(seed=1)), one)
    assert not same_weights(squeeze(image_set, val_set, settings(), ctx=Context(seed=2)), one)


def test_killed_and_resumed_equals_unbroken(image_set: ImageSet, val_set: ImageSet) -> None:
    unbroken = squeeze(image_set, val_set, settings())
    dying = MemoryContext(dies_after=2)
    with pytest.raises(KilledError):
        squeeze(image_set, val_set, settings(), ctx=dying)
    second = dying.again()
    assert same_weights(squeeze(image_set, val_set, settings(), ctx=second), unbroken)
    assert [row["epoch"] for row in second.rows if "epoch" in row] == [3]
    assert second.steps == [(7, 9), (8, 9), (9, 9)]


def test_fewer_images_than_a_batch_still_train(image_set: ImageSet, val_set: ImageSet) -> None:
    ctx = MemoryContext()
    squeeze(image_set, val_set, settings(epochs=1, batch=1000), ctx=ctx)
    assert ctx.steps == [(1, 1)]


@pytest.mark.parametrize("kind", ["torch", "safetensors"])
def test_a_checkpoint_is_taken_as_it_is(kind: str, image_set: ImageSet, val_set: ImageSet, tmp_path: Path) -> None:
    trained = squeeze(image_set, val_set, settings(epochs=10, crop_min=0.5))
    path = tmp_path / ("t.pt" if kind == "torch" else "t.safetensors")
    weights = dict(trained.weights)
    if kind == "torch":
        torch.save(weights, path)
    else:
        save_file(weights, path)
    ctx = MemoryContext()
    taken = squeeze(image_set, val_set, settings(checkpoint=str(path)), ctx=ctx)
    assert same_weights(taken, trained)
    assert taken.top1 == trained.top1
    assert ctx.steps == []


@pytest.mark.parametrize(
    ("changes", "pattern"),
    [({"arch": "convnet2_w4_bn"}, "not this convnet2_w4_bn"), ({"arch": "convnet1_w8_bn"}, "is not a convnet1_w8_bn")],
)
def test_a_checkpoint_of_another_network_is_refused(
    changes: dict[str, str], pattern: str, image_set: ImageSet, val_set: ImageSet, tmp_path: Path
) -> None:
    path = tmp_path / "t.pt"
    torch.save(dict(squeeze(image_set, val_set, settings(epochs=1)).weights), path)
    with pytest.raises(ConfigError, match=pattern):
        squeeze(image_set, val_set, settings(checkpoint=str(path), **changes))


def test_a_checkpoint_of_other_classes_is_refused(
    image_set: ImageSet, val_set: ImageSet, make_image_set: Callable[..., ImageSet], tmp_path: Path
) -> None:
    weights = dict(squeeze(image_set, val_set, settings(epochs=1)).weights)
    torch.save(weights, tmp_path / "t.pt")
    four = make_image_set(classes=4)
    with pytest.raises(ConfigError, match="has 3 classes, the data have 4"):
        squeeze(four, four, settings(checkpoint=str(tmp_path / "t.pt")))


@pytest.mark.parametrize("complete", [True, False])
def test_pretrained_weights_are_trained_only_if_their_classes_differ(
    complete: bool, image_set: ImageSet, val_set: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[dict[str, Any]] = []

    def pretrained(spec: ModelSpec) -> Pretrained:
        model = build_model(spec)
        given.append({name: value.clone() for name, value in model.state_dict().items()})
        return Pretrained(model=model, moments=((0.1, 0.2, 0.3), (0.4, 0.5, 0.6)), complete=complete)

    monkeypatch.setattr("wmdd.models.pretrained.pretrained_model", pretrained)
    ctx = MemoryContext()
    teacher = squeeze(image_set, val_set, settings(pretrained=True, epochs=1, accept_weak=True), ctx=ctx)
    assert (teacher.mean, teacher.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    kept = all(torch.equal(teacher.weights[name], value) for name, value in given[0].items())
    assert kept is complete
    assert bool(ctx.steps) is not complete
    torch.manual_seed(5)  # a fresh last layer comes from the seed, not from where the global stream stands
    squeeze(image_set, val_set, settings(pretrained=True, epochs=1, accept_weak=True))
    assert all(torch.equal(given[0][name], given[1][name]) for name in given[0])


def test_accuracy_counts_by_hand(image_set: ImageSet, val_set: ImageSet) -> None:
    class Constant(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.tensor([0.0, 2.0, 1.0]).expand(len(x), 3)

    for images in (val_set, image_set):
        form = Normalisation(image_size=images.image_size, mean=(0.5,) * 3, std=(0.5,) * 3)
        found = accuracies(Constant(), images, form, Context())
        loss = math.log(1 + math.e + math.e**2) - 1  # of class 2, the mean of those of all three classes
        assert found == {"top1": pytest.approx(100 / 3), "top5": 100.0, "test_loss": pytest.approx(loss)}


def test_the_digest_of_a_checkpoint_is_its_sha256(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert checkpoint_digest(str(tmp_path / "x")).startswith("ba7816bf8f01cfea414140de5dae2223")


def test_an_unknown_network_is_one_line(image_set: ImageSet, val_set: ImageSet) -> None:
    with pytest.raises(ConfigError, match="did you mean 'resnet18'"):
        squeeze(image_set, val_set, settings(arch="resnet81"))
