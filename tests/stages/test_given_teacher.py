"""A teacher from outside: its normalisation and class order are found or named, and one near chance stops the run."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from drawn import HeldImages, drawn_set
from memory_context import MemoryContext
from wmdd.data.loading import channel_moments
from wmdd.errors import ConfigError
from wmdd.evaluation.trials import near_chance, order_words
from wmdd.models.building import build_model
from wmdd.models.foreign_facts import IMAGENET
from wmdd.models.pretrained import Pretrained
from wmdd.settings import SqueezeSettings
from wmdd.stages.squeeze import squeeze
from wmdd.values import ImageSet, ModelSpec, Teacher

ARCH = "convnet1_w16_bn"
CLASSES = 11
NAMES = tuple(sorted(map(str, range(1, CLASSES + 1))))


def settings(**changes: Any) -> SqueezeSettings:
    return SqueezeSettings(**{"arch": ARCH, "epochs": 8, "batch": 16, "lr": 0.05, "crop_min": 0.8, **changes})


def dark(images: ImageSet) -> ImageSet:
    """Return dark pictures of little contrast, which ImageNet's moments and their own take to different places."""
    pixels = images.images.fetch(range(len(images)))
    held = HeldImages((pixels.float() * 0.2).round().to(torch.uint8))
    return replace(images, images=held, classes=NAMES, fingerprint=images.fingerprint + "-dark")


TRAIN = dark(drawn_set(classes=CLASSES, per_class=16))
VAL = dark(drawn_set(classes=CLASSES, per_class=6, split="val", seed=1))


@pytest.fixture(scope="module")
def imagenet() -> Teacher:
    """Return a teacher that was trained under ImageNet's moments."""
    return squeeze(TRAIN, VAL, settings(mean="imagenet"))


@pytest.fixture(scope="module")
def own() -> Teacher:
    """Return a teacher that was trained under the data's moments."""
    return squeeze(TRAIN, VAL, settings())


@pytest.fixture
def given(tmp_path: Path) -> Callable[..., tuple[Teacher, MemoryContext]]:
    """Return a function that takes weights as a checkpoint."""

    def take(weights: Any, facts: dict[str, Any] | None = None, **changes: Any) -> tuple[Teacher, MemoryContext]:
        torch.save({"state_dict": dict(weights), **(facts or {})}, tmp_path / "t.pt")
        ctx = MemoryContext()
        return squeeze(TRAIN, VAL, settings(checkpoint=str(tmp_path / "t.pt"), **changes), ctx=ctx), ctx

    return take


def numeric(teacher: Teacher) -> tuple[list[str], dict[str, torch.Tensor]]:
    """Return the names in numeric order, and weights whose outputs are in it."""
    names = sorted(NAMES, key=int)
    rows = [NAMES.index(name) for name in names]
    weights = dict(teacher.weights)
    return names, weights | {key: weights[key][rows] for key in ("classifier.weight", "classifier.bias")}


def test_training_under_a_given_normalisation(imagenet: Teacher, own: Teacher) -> None:
    assert (imagenet.mean, imagenet.std) == IMAGENET
    assert (own.mean, own.std) == channel_moments(TRAIN)
    assert imagenet.top1 > 90
    assert own.top1 > 90


@pytest.mark.parametrize(
    ("facts", "changes"),
    [
        ({}, {"mean": "imagenet"}),
        ({}, {"std": "imagenet"}),
        ({}, {"mean": IMAGENET[0], "std": IMAGENET[1]}),
        ({"mean": list(IMAGENET[0]), "std": list(IMAGENET[1])}, {}),
        ({"pretrained_cfg": {"mean": IMAGENET[0], "std": IMAGENET[1]}}, {}),
        ({"normalisation": "imagenet"}, {}),
        ({"mean": [0.5, 0.5], "std": [0.5, 0.5]}, {"mean": "imagenet"}),
    ],
)
def test_a_stated_normalisation_is_taken(given: Any, imagenet: Teacher, facts: Any, changes: Any) -> None:
    taken, ctx = given(imagenet.weights, facts, **changes)
    assert (taken.mean, taken.std, taken.top1) == (imagenet.mean, imagenet.std, imagenet.top1)
    assert ctx.warnings == []


def test_a_normalisation_that_nobody_states_is_found_and_said(given: Any, imagenet: Teacher, own: Teacher) -> None:
    taken, ctx = given(imagenet.weights)
    assert (taken.mean, taken.std, taken.top1) == (imagenet.mean, imagenet.std, imagenet.top1)
    assert [each.kind for each in ctx.warnings] == ["teacher normalisation"]
    assert "--squeeze.mean imagenet" in ctx.warnings[0].text
    assert "--squeeze.mean data" in ctx.warnings[0].text
    taken, ctx = given(own.weights)
    assert (taken.mean, taken.std, taken.top1) == (own.mean, own.std, own.top1)
    assert ctx.warnings == []


def test_a_wrong_normalisation_is_kept_and_said(given: Any, imagenet: Teacher) -> None:
    taken, ctx = given(imagenet.weights, mean="data", accept_weak=True)
    assert (taken.mean, taken.std) == channel_moments(TRAIN)
    assert "give --squeeze.mean imagenet if it was trained so" in ctx.warnings[0].text


def test_a_teacher_near_chance_stops_the_run(given: Any, own: Teacher) -> None:
    fresh = build_model(own.spec).state_dict()
    with pytest.raises(ConfigError, match=r"t.pt is no better than chance; got .* go on with --squeeze.accept-weak"):
        given(fresh)
    _, ctx = given(fresh, accept_weak=True)
    assert [each.kind for each in ctx.warnings] == ["weak teacher"]


def test_another_class_order_is_named(given: Any, own: Teacher, imagenet: Teacher) -> None:
    names, weights = numeric(own)
    with pytest.raises(ConfigError, match=r"in numeric order; give --squeeze.classes 1 2 3 .* 10 11, or go on"):
        given(weights)
    with pytest.raises(ConfigError, match="in numeric order"):
        given(numeric(imagenet)[1])  # under another normalisation, too
    _, ctx = given(weights, accept_weak=True)
    assert [each.kind for each in ctx.warnings] == ["class order", "weak teacher"]
    for facts, changes in (({}, {"classes": names}), ({"classes": names}, {})):
        taken, ctx = given(weights, facts, **changes)
        assert taken.top1 == own.top1
        assert all(torch.equal(taken.weights[key], own.weights[key]) for key in own.weights)
        assert [each.kind for each in ctx.warnings] == ["class order"]
        assert "last layer" in ctx.warnings[0].text


def test_a_teacher_below_the_accuracy_that_it_states(given: Any, own: Teacher) -> None:
    noise = torch.Generator().manual_seed(0)
    head = own.weights["classifier.weight"]
    worse = {**own.weights, "classifier.weight": head + 0.6 * torch.randn(head.shape, generator=noise)}
    taken, _ = given(worse)
    assert 20 < taken.top1 < 80
    with pytest.raises(ConfigError, match=r"far below the accuracy that it states; got .*, 97\.0 % stated"):
        given(worse, {"top1": 0.97})
    _, ctx = given(worse, {"best_acc1": torch.tensor(97.0)}, accept_weak=True)
    assert [each.kind for each in ctx.warnings] == ["weak teacher"]


def test_a_teacher_far_worse_than_on_training_images(own: Teacher, tmp_path: Path) -> None:
    torch.save(dict(own.weights), tmp_path / "t.pt")
    turned = replace(VAL, labels=VAL.labels.roll(40))
    with pytest.raises(ConfigError, match="far worse than on training images"):
        squeeze(TRAIN, turned, settings(checkpoint=str(tmp_path / "t.pt")))


def test_a_weak_teacher_that_is_trained_here_is_only_said(image_set: ImageSet) -> None:
    ctx = MemoryContext()
    squeeze(TRAIN, VAL, settings(epochs=1, lr=1e-6), ctx=ctx)
    assert [each.kind for each in ctx.warnings] == ["weak teacher"]
    assert "train it longer" in ctx.warnings[0].text


@pytest.mark.parametrize(
    ("share", "count", "chance", "wanted"),
    [
        (0.275, 80, 0.25, True),
        (0.25, 10_000, 0.25, True),
        (0.45, 80, 0.25, False),
        (0.12, 50_000, 0.1, True),
        (0.5, 12, 1 / 3, True),
        (1.0, 12, 1 / 3, False),
        (2 / 3, 3, 0.5, False),
        (0.76, 50_000, 0.001, False),
    ],
)
def test_what_is_near_chance(share: float, count: int, chance: float, wanted: bool) -> None:
    assert near_chance(share, count, chance) is wanted


def test_pretrained_outputs_may_be_named(own: Teacher, monkeypatch: pytest.MonkeyPatch) -> None:
    names, weights = numeric(own)

    def pretrained(spec: ModelSpec) -> Pretrained:
        model = build_model(spec)
        model.load_state_dict(weights)
        return Pretrained(model=model, moments=(own.mean, own.std), complete=True)

    monkeypatch.setattr("wmdd.models.pretrained.pretrained_model", pretrained)
    taken = squeeze(TRAIN, VAL, settings(pretrained=True, classes=names))
    assert taken.top1 == own.top1
    with pytest.raises(ConfigError, match=f"pretrained {ARCH} has another class order"):
        squeeze(TRAIN, VAL, settings(pretrained=True))


def test_long_orders_are_not_spelt_out() -> None:
    classes = [f"class {label}" for label in range(30)]
    assert order_words(range(30), classes) == ("numeric order", "squeeze.classes with the names in that order")
    words, _ = order_words([1, 0, *range(2, 30)], classes)
    assert words.startswith("the order class 1, class 0, class 2")
    assert words.endswith(", ...")
    assert order_words([1, 0], ["a b", "c"]) == ("the order c, a b", "--squeeze.classes c 'a b'")
