"""What every method promises, whatever it is: valid sets in grey and colour, the same bytes again, and after a kill."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any

import pytest
import torch
from tiny_settings import TINY

from drawn import drawn_set
from memory_context import KilledError, MemoryContext
from wmdd.methods._method import squeezed
from wmdd.methods._registry import find_method
from wmdd.methods.names import METHODS
from wmdd.pipeline.recipe import Recipe
from wmdd.pipeline.runner import GivenResult
from wmdd.settings import SqueezeSettings
from wmdd.stages.squeeze import squeeze
from wmdd.values import DistilledSet, ImageSet, Teacher

CHANNELS = {"grey": 1, "colour": 3}


@dataclass
class StagesInMemory:
    """Runs stages as the runner does, with dictionaries for disks; `dies_after` = n is a kill after the n-th save."""

    dies_after: int | None = None
    contexts: dict[str, MemoryContext] = field(default_factory=dict)
    results: dict[str, GivenResult] = field(default_factory=dict)

    @property
    def saves(self) -> int:
        """Saves of this attempt."""
        return sum(len(context.saves) for context in self.contexts.values())

    def again(self) -> "StagesInMemory":
        """Return the same command started once more."""
        return StagesInMemory(None, {key: each.again() for key, each in self.contexts.items()}, dict(self.results))

    def run(self, stage: Any, *inputs: Any, settings: Any, **facts: Any) -> GivenResult:
        seed = getattr(settings, "seed", 0)
        parts = [part if isinstance(part, tuple) else (part,) for part in inputs]
        keys = ["+".join(each.key for each in part) for part in parts]
        key = "|".join([stage.name, str(settings.counted()), str(facts), *keys])
        if key in self.results:
            return self.results[key]
        context = self.contexts.setdefault(key, MemoryContext(stage=stage.name, seed=seed))
        left = None if self.dies_after is None else self.dies_after - self.saves
        self.contexts[key] = context = context.again(dies_after=left)
        records = [tuple(each.record for each in part) if isinstance(part, tuple) else part.record for part in inputs]
        record = stage.run(*records, settings, ctx=context, **facts)
        assert isinstance(record, stage.output)
        assert all("step" not in row or row["step"] >= 0 for row in context.rows)
        self.results[key] = GivenResult(key=key, record=record)
        return self.results[key]


@cache
def data(channels: int) -> ImageSet:
    return drawn_set(classes=3, per_class=8, side=8, channels=channels)


@cache
def val(channels: int) -> ImageSet:
    return drawn_set(classes=3, per_class=4, side=8, channels=channels, split="val", seed=1)


SQUEEZE = {"arch": "convnet1_w8_bn", "epochs": 3, "batch": 8, "lr": 0.1, "crop_min": 1.0, "flip": False}


@cache
def plain_teacher(channels: int) -> Teacher:
    return squeeze(data(channels), val(channels), SqueezeSettings(**SQUEEZE))


def recipe_for(name: str, ipc: int) -> Recipe:
    if name not in TINY:
        pytest.fail(f"method {name!r} has no line in tests/methods/tiny_settings.py: add its smallest settings there")
    return Recipe().with_settings({"ipc": ipc, "squeeze": SQUEEZE, **TINY[name]})


def distilled(name: str, *, ipc: int, channels: int, stages: StagesInMemory | None = None) -> DistilledSet:
    """Return a method's set, under a teacher of its own if it has one."""
    method, recipe, stages = find_method(name), recipe_for(name, ipc), stages or StagesInMemory()
    train, tests = (GivenResult(key=each.split, record=each) for each in (data(channels), val(channels)))
    if method.teach is squeezed:
        teachers = (GivenResult(key="teacher", record=plain_teacher(channels)),)
    else:
        teachers = method.teach(stages, train, tests, recipe)
    return method.distill(stages, train, teachers, recipe).record


def same(one: DistilledSet, other: DistilledSet) -> bool:
    """Tell whether two sets are equal to the last bit."""
    pairs = [(getattr(one, each.name), getattr(other, each.name)) for each in fields(DistilledSet)]
    return all(torch.equal(a, b) if isinstance(a, torch.Tensor) and b is not None else a == b for a, b in pairs)


def check_valid(found: DistilledSet, name: str, ipc: int, channels: int) -> None:
    """Hold a set against what `wmdd.values` says of one."""
    real, count = data(channels), 3 * ipc
    assert found.method == name
    assert found.classes == real.classes
    assert (found.ipc, found.image_size) == (ipc, real.image_size)
    assert found.images.dtype == torch.uint8
    assert found.images.shape == (count, channels, real.image_size, real.image_size)
    assert found.labels.dtype == torch.int64
    assert found.labels.tolist() == [label for label in range(3) for _ in range(ipc)]
    assert found.weights.dtype == torch.float32
    assert found.weights.isfinite().all()
    assert (found.weights >= 0).all()
    torch.testing.assert_close(found.weights.reshape(3, ipc).sum(1), torch.ones(3))
    assert len(found.mean) == len(found.std) == channels
    check_optional(found, count)


def check_optional(found: DistilledSet, count: int) -> None:
    """Hold what only some methods give against what `wmdd.values` says of it."""
    if found.exact is not None:
        assert found.exact.dtype == torch.float32
        assert found.exact.shape == found.images.shape
        assert found.exact.isfinite().all()
        mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (found.mean, found.std))
        rounded = ((found.exact * std + mean).clamp(0, 1) * 255).round()
        assert (rounded - found.images.float()).abs().max() <= 1
    if found.targets is not None:
        assert found.targets.dtype == torch.float32
        assert found.targets.shape == (count, 3)
        assert found.targets.isfinite().all()
    if found.rates is not None:
        assert found.rates.dtype == torch.float32
        assert found.rates.ndim == 1
        assert found.rates.isfinite().all()


@pytest.mark.parametrize("ipc", [1, 3])
@pytest.mark.parametrize("kind", CHANNELS)
@pytest.mark.parametrize("name", METHODS)
def test_a_valid_set(name: str, kind: str, ipc: int) -> None:
    check_valid(distilled(name, ipc=ipc, channels=CHANNELS[kind]), name, ipc, CHANNELS[kind])


@pytest.mark.parametrize("name", METHODS)
def test_the_same_seed_gives_the_same_bytes_and_so_does_a_resumed_run(name: str) -> None:
    unbroken = StagesInMemory()
    found = distilled(name, ipc=3, channels=1, stages=unbroken)
    torch.manual_seed(99)  # the global stream must not matter
    assert same(found, distilled(name, ipc=3, channels=1))
    for save in sorted({1, -(-unbroken.saves // 2)} if unbroken.saves else ()):
        killed = StagesInMemory(dies_after=save)
        with pytest.raises(KilledError):
            distilled(name, ipc=3, channels=1, stages=killed)
        assert same(found, distilled(name, ipc=3, channels=1, stages=killed.again())), f"killed after save {save}"


@pytest.mark.parametrize("name", METHODS)
def test_distilling_leaves_the_global_stream_alone(name: str) -> None:
    plain_teacher(1)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    distilled(name, ipc=1, channels=1)
    assert torch.equal(torch.rand(3), expected)


def test_every_method_has_its_tiny_settings() -> None:
    assert set(TINY) <= set(METHODS), "tests/methods/tiny_settings.py names methods that do not exist"
    assert all(isinstance(find_method(name).distill, Callable) for name in METHODS)
