"""Dataset distillation: the loss falls, rates are learned, sweeps and graphs agree, a kill changes nothing."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import Tensor

from memory_context import KilledError, MemoryContext
from wmdd.context import Context
from wmdd.errors import ConfigError
from wmdd.methods.dd import DdSettings
from wmdd.methods.dd.distill import dd
from wmdd.values import DistilledSet, ImageSet, Teacher


def settings(**changes: Any) -> DdSettings:
    tiny = {"arch": "convnet1_w4_in", "iterations": 6, "networks": 1, "batch": 12, "epochs": 2, "lr": 0.05}
    return DdSettings(**{**tiny, **changes})


def same(one: DistilledSet, other: DistilledSet) -> bool:
    pairs = [(getattr(one, each.name), getattr(other, each.name)) for each in fields(DistilledSet)]
    return all(torch.equal(a, b) if isinstance(a, Tensor) else a == b for a, b in pairs)


@pytest.mark.parametrize("ipc", [1, 3])
def test_a_rate_for_each_step_and_exact_images(image_set: ImageSet, teacher: Teacher, ipc: int) -> None:
    found = dd(image_set, teacher, settings(), ipc=ipc)
    assert found.exact is not None
    assert found.rates is not None
    assert found.rates.shape == (2 * ipc,)
    assert bool((found.rates > 0).all())
    assert found.labels.tolist() == [label for label in range(3) for _ in range(ipc)]
    assert found.exact.shape == (3 * ipc, 3, 8, 8)
    assert float(found.exact.abs().max()) > 2  # noise is not bound to the range of pixels


def test_rates_begin_at_the_setting(image_set: ImageSet, teacher: Teacher) -> None:
    found = dd(image_set, teacher, settings(iterations=1, lr=1e-9, rate=0.3), ipc=2)
    assert found.rates is not None
    torch.testing.assert_close(found.rates, torch.full((4,), 0.3))


def test_the_loss_falls(image_set: ImageSet, teacher: Teacher) -> None:
    ctx = MemoryContext()
    dd(image_set, teacher, settings(arch="convnet1_w8_in", iterations=60, batch=36, rate=0.1), ipc=1, ctx=ctx)
    losses = [row["loss"] for row in ctx.rows]
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])


def test_sweep_and_graph_find_the_same_images(image_set: ImageSet, teacher: Teacher) -> None:
    graph, sweep = (dd(image_set, teacher, settings(iterations=3, gradient=kind), ipc=2) for kind in ("graph", "sweep"))
    assert graph.exact is not None
    assert sweep.exact is not None
    torch.testing.assert_close(sweep.exact, graph.exact, rtol=1e-3, atol=1e-3)


def test_the_seed_decides(image_set: ImageSet, teacher: Teacher, global_stream_untouched: Callable[[], None]) -> None:
    one, again, other = (dd(image_set, teacher, settings(), ipc=1, ctx=Context(seed=seed)) for seed in (1, 1, 2))
    assert same(one, again)
    assert not torch.equal(one.images, other.images)
    global_stream_untouched()


@pytest.mark.parametrize("killed_after", [1, 4])
def test_a_kill_changes_nothing(image_set: ImageSet, teacher: Teacher, killed_after: int) -> None:
    unbroken = dd(image_set, teacher, settings(decay_every=2), ipc=2, ctx=MemoryContext())
    dying = MemoryContext(dies_after=killed_after)
    with pytest.raises(KilledError):
        dd(image_set, teacher, settings(decay_every=2), ipc=2, ctx=dying)
    assert same(dd(image_set, teacher, settings(decay_every=2), ipc=2, ctx=dying.again()), unbroken)


def test_batchnorm_is_refused_in_one_line(image_set: ImageSet, teacher: Teacher) -> None:
    with pytest.raises(ConfigError, match="unrolled through BatchNorm; got convnet1_w4_bn; use") as caught:
        dd(image_set, teacher, settings(arch="convnet1_w4_bn"), ipc=1)
    assert "\n" not in str(caught.value)
