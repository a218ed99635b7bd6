"""What every method promises, whatever it is: valid sets in grey and colour, the same bytes again, and after a kill."""

from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Any

import pytest
import torch
from tiny_settings import TINY

from drawn import drawn_set
from memory_context import KilledError, MemoryContext
from recorded_settings import settings_read
from wmdd.methods import Method, squeezed
from wmdd.methods.algorithm import load_algorithm
from wmdd.methods.catalogue import builtin_methods, complete, find_method
from wmdd.methods.dm import DmSettings
from wmdd.pipeline.runner import GivenResult
from wmdd.settings import OptimisationSettings, Recipe, SqueezeSettings
from wmdd.settings.recipe import recipe_type
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

    def run(self, stage: Any, *inputs: Any, settings: Any, of: str = "", **facts: Any) -> GivenResult:  # noqa: ARG002
        seed = getattr(settings, "seed", 0)
        flat = [part for each in inputs for part in (each if isinstance(each, tuple) else (each,))]
        key = "|".join([stage.name, str(settings.counted()), str(facts), *(part.key for part in flat)])
        if key in self.results:
            return self.results[key]
        context = self.contexts.setdefault(key, MemoryContext(stage=stage.name, seed=seed))
        left = None if self.dies_after is None else self.dies_after - self.saves
        self.contexts[key] = context = context.again(dies_after=left)
        records = (tuple(p.record for p in each) if isinstance(each, tuple) else each.record for each in inputs)
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
    return complete({"method": name, "ipc": ipc, "squeeze": SQUEEZE}, TINY[name])


def distilled(name: str, *, ipc: int, channels: int, stages: StagesInMemory | None = None) -> DistilledSet:
    """Return a method's set, under a teacher of its own if it has one."""
    return distilled_by(find_method(name), recipe_for(name, ipc), channels, stages or StagesInMemory())


def distilled_by(card: Method, recipe: Recipe, channels: int, stages: StagesInMemory) -> DistilledSet:
    method = load_algorithm(card)
    train, tests = (GivenResult(key=each.split, record=each) for each in (data(channels), val(channels)))
    if method.teach is squeezed:
        teachers: tuple[Any, ...] = (GivenResult(key="teacher", record=plain_teacher(channels)),)
    else:
        teachers = method.teach(stages, train, tests, recipe)
    found = method.distill(stages, train, teachers, recipe).record
    assert {context.stage for context in stages.contexts.values()} <= set(card.stages) | {"squeeze"}
    rows = [row for context in stages.contexts.values() for row in context.rows if "step" in row or "epoch" in row]
    logged = {column for row in rows for column in row if column == "loss" or column.endswith("_loss")}
    assert logged - {"test_loss"} <= set(card.losses)  # that one is of networks
    return found


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
@pytest.mark.parametrize("name", builtin_methods())
def test_a_valid_set(name: str, kind: str, ipc: int) -> None:
    check_valid(distilled(name, ipc=ipc, channels=CHANNELS[kind]), name, ipc, CHANNELS[kind])


@pytest.mark.parametrize("name", builtin_methods())
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


@pytest.mark.parametrize("name", builtin_methods())
def test_distilling_leaves_the_global_stream_alone(name: str) -> None:
    plain_teacher(1)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    distilled(name, ipc=1, channels=1)
    assert torch.equal(torch.rand(3), expected)


def unread_settings(card: Method, recipe: Recipe) -> set[str]:
    """Return the settings that a card declares and that no code reads, whatever the curriculum of the crops is."""
    plain_teacher(1)
    section = next((kind.section for kind in card.settings if issubclass(kind, OptimisationSettings)), "")
    crops = {f"{section}.shift": 0.0} if section == "gvbsm" else {}
    further = [{f"{section}.curriculum": form, **crops} for form in ("none", "step")] if section else []
    with settings_read() as read:
        for changes in ({}, *further):
            distilled_by(card, recipe.with_settings(changes), 1, StagesInMemory())
    # Stage invert is given a copy of a method's own settings, which it knows as those of recovery.
    copies = {f"{section}.{name.removeprefix('recover.')}" for name in read if name.startswith("recover.")}
    return {f"{kind.section}.{name}" for kind in card.settings for name in kind.model_fields} - read - copies


@pytest.mark.parametrize("name", builtin_methods())
def test_every_setting_of_a_card_is_read(name: str) -> None:
    assert unread_settings(find_method(name), recipe_for(name, ipc=3)) == set()


def test_a_setting_that_no_code_reads_is_noticed() -> None:
    class FurtherSettings(DmSettings):
        further: int = 0

    card = replace(find_method("dm"), settings=(FurtherSettings,))
    recipe = recipe_type(card.settings)(**{"method": "dm", "ipc": 1, **TINY["dm"]})
    assert unread_settings(card, recipe) == {"dm.further"}


def test_every_method_has_its_tiny_settings() -> None:
    assert set(TINY) <= set(builtin_methods()), "tests/methods/tiny_settings.py names methods that do not exist"
