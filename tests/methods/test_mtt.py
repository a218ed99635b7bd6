"""Experts and trajectory matching: what experts keep, the loss's definition, resume, and rates that stay positive."""

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from memory_context import KilledError, MemoryContext
from wmdd.artifacts.formats import read_record, write_record
from wmdd.context import Context, stream
from wmdd.data.loading import to_float
from wmdd.data.whitening import whitened
from wmdd.errors import ConfigError, NumericsError
from wmdd.methods.mtt import ExpertsSettings, MttSettings
from wmdd.methods.mtt.distill import SMALLEST_RATE, mtt
from wmdd.methods.mtt.experts import experts
from wmdd.models.building import build_model
from wmdd.training.pixels import start_images
from wmdd.training.unroll import flatten, unflatten
from wmdd.values import DistilledSet, ImageSet, Teacher, Trajectories


def expert_settings(**changes: Any) -> ExpertsSettings:
    tiny = {"arch": "convnet1_w4_in", "count": 2, "epochs": 3, "batch": 8, "lr": 0.1, "strategy": "crop_flip"}
    return ExpertsSettings(**{**tiny, **changes})


def settings(**changes: Any) -> MttSettings:
    tiny = {"iterations": 5, "steps": 3, "span": 1, "start_max": 2, "lr": 1.0, "rate": 0.05, "strategy": "crop"}
    return MttSettings(**{**tiny, **changes})


def same(one: DistilledSet, other: DistilledSet) -> bool:
    pairs = [(getattr(one, each.name), getattr(other, each.name)) for each in fields(DistilledSet)]
    return all(torch.equal(a, b) if isinstance(a, Tensor) else a == b for a, b in pairs)


@pytest.fixture
def trajectories(image_set: ImageSet, teacher: Teacher) -> Trajectories:
    return experts(image_set, teacher, expert_settings())


def test_experts_learn_and_differ(image_set: ImageSet, teacher: Teacher, trajectories: Trajectories) -> None:
    parameters = trajectories.parameters
    model = build_model(trajectories.spec)
    assert parameters.shape == (2, 4, sum(value.numel() for value in model.parameters()))
    assert not torch.equal(parameters[0, 0], parameters[1, 0])
    inputs = to_float(image_set.images.fetch(range(len(image_set))), teacher.mean, teacher.std)
    losses = []
    for epoch in range(4):
        model.load_state_dict(unflatten(parameters[0, epoch], model))
        losses.append(float(nn.functional.cross_entropy(model(inputs), image_set.labels).detach()))
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.7 * losses[0]


def test_whitened_experts_give_a_whitened_set(image_set: ImageSet, teacher: Teacher, tmp_path: Path) -> None:
    made = experts(image_set, teacher, expert_settings(zca="pixels", strategy="none"))
    assert made.whitening is not None
    write_record(made, tmp_path)
    stored = read_record(Trajectories, tmp_path)
    assert stored.whitening is not None
    assert torch.equal(stored.whitening, made.whitening)
    still = mtt(image_set, teacher, stored, settings(iterations=1, lr=1e-12), ipc=2)
    plain = start_images(image_set, teacher, range(3), 2, start="real", ctx=Context())
    assert still.exact is not None
    assert still.whitening is not None
    torch.testing.assert_close(still.exact, plain, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("zca", ["none", "pixels"])
def test_an_epoch_is_plain_sgd(zca: str, image_set: ImageSet, teacher: Teacher) -> None:
    """One epoch in one batch of all images, without augmentation: one step of gradient descent."""
    made = experts(image_set, teacher, expert_settings(count=1, epochs=1, batch=36, strategy="none", zca=zca))
    found, model = made.parameters[0], build_model(made.spec)
    model.load_state_dict(unflatten(found[0], model))
    inputs = whitened(to_float(image_set.images.fetch(range(36)), teacher.mean, teacher.std), made.whitening)
    nn.functional.cross_entropy(model(inputs), image_set.labels).backward()
    torch.optim.SGD(model.parameters(), 0.1).step()
    torch.testing.assert_close(found[1], flatten(dict(model.named_parameters())).detach(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("killed_after", [1, 3, 4, 6])
def test_killed_experts_go_on(image_set: ImageSet, teacher: Teacher, killed_after: int) -> None:
    unbroken = experts(image_set, teacher, expert_settings(), ctx=MemoryContext()).parameters
    dying = MemoryContext(dies_after=killed_after)
    with pytest.raises(KilledError):
        experts(image_set, teacher, expert_settings(), ctx=dying)
    resumed = experts(image_set, teacher, expert_settings(), ctx=dying.again()).parameters
    assert torch.equal(resumed, unbroken)


def test_trajectories_are_a_file_of_their_own(tmp_path: Path, trajectories: Trajectories) -> None:
    write_record(trajectories, tmp_path)
    assert (tmp_path / "parameters.safetensors").stat().st_size > 4 * trajectories.parameters.numel()
    found = read_record(Trajectories, tmp_path)
    assert found.spec == trajectories.spec
    assert torch.equal(found.parameters, trajectories.parameters)


@pytest.mark.parametrize("ipc", [1, 3])
@pytest.mark.parametrize("batch", [None, 2])
def test_one_learned_rate_and_exact_images(
    image_set: ImageSet, teacher: Teacher, trajectories: Trajectories, ipc: int, batch: int | None
) -> None:
    found = mtt(image_set, teacher, trajectories, settings(batch=batch), ipc=ipc)
    assert found.rates is not None
    assert found.rates.shape == (1,)
    assert found.exact is not None
    assert found.exact.shape == (3 * ipc, 3, 8, 8)
    assert found.labels.tolist() == [label for label in range(3) for _ in range(ipc)]


def test_the_first_loss_equals_the_definition(
    image_set: ImageSet, teacher: Teacher, trajectories: Trajectories
) -> None:
    ctx = MemoryContext(seed=4)
    chosen = settings(iterations=1, strategy="none", steps=2)
    mtt(image_set, teacher, trajectories, chosen, ipc=1, ctx=ctx)
    draws = stream(4, "notebook", "match", 0)
    expert, begin = int(torch.randint(2, (), generator=draws)), int(torch.randint(2, (), generator=draws))
    first, last = trajectories.parameters[expert, begin], trajectories.parameters[expert, begin + 1]
    model = build_model(trajectories.spec)
    model.load_state_dict(unflatten(first, model))
    inputs = start_images(image_set, teacher, range(3), 1, start="real", ctx=ctx)
    optimiser = torch.optim.SGD(model.parameters(), chosen.rate)
    for _ in range(2):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(inputs), torch.arange(3)).backward()
        optimiser.step()
    reached = flatten(dict(model.named_parameters())).detach()
    expected = float((reached - last).square().sum() / (first - last).square().sum())
    assert ctx.rows[0]["loss"] == pytest.approx(expected, rel=1e-4)


def test_the_loss_falls_below_one(image_set: ImageSet, teacher: Teacher, trajectories: Trajectories) -> None:
    ctx = MemoryContext()
    chosen = settings(iterations=80, strategy="none", lr=3.0, rate_lr=1e-3)
    mtt(image_set, teacher, trajectories, chosen, ipc=1, ctx=ctx)
    losses = [row["loss"] for row in ctx.rows]
    assert sum(losses[-20:]) < 0.9 * sum(losses[:20])
    assert sum(losses[-20:]) < 20


def test_sweep_and_graph_find_the_same_images(
    image_set: ImageSet, teacher: Teacher, trajectories: Trajectories
) -> None:
    graph, sweep = (
        mtt(image_set, teacher, trajectories, settings(gradient=kind, strategy="color_scale"), ipc=2)
        for kind in ("graph", "sweep")
    )
    assert graph.exact is not None
    assert sweep.exact is not None
    assert graph.rates is not None
    assert sweep.rates is not None
    torch.testing.assert_close(sweep.exact, graph.exact, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(sweep.rates, graph.rates, rtol=1e-3, atol=1e-6)


def test_the_rate_stays_positive(image_set: ImageSet, teacher: Teacher, trajectories: Trajectories) -> None:
    # Students of noise-free targets that did not move would have the rate go below zero: here it is thrown there.
    still = replace(trajectories, parameters=trajectories.parameters.flip(1).contiguous())
    found = mtt(image_set, teacher, still, settings(rate_lr=1e3, iterations=1), ipc=1)
    assert found.rates is not None
    assert float(found.rates) == pytest.approx(SMALLEST_RATE)


@pytest.mark.parametrize("killed_after", [1, 3])
def test_a_kill_changes_nothing(
    image_set: ImageSet, teacher: Teacher, trajectories: Trajectories, killed_after: int
) -> None:
    unbroken = mtt(image_set, teacher, trajectories, settings(), ipc=2, ctx=MemoryContext())
    dying = MemoryContext(dies_after=killed_after)
    with pytest.raises(KilledError):
        mtt(image_set, teacher, trajectories, settings(), ipc=2, ctx=dying)
    assert same(mtt(image_set, teacher, trajectories, settings(), ipc=2, ctx=dying.again()), unbroken)


def test_the_seed_decides(
    image_set: ImageSet,
    teacher: Teacher,
    trajectories: Trajectories,
    global_stream_untouched: Callable[[], None],
) -> None:
    one, again, other = (
        mtt(image_set, teacher, trajectories, settings(), ipc=1, ctx=Context(seed=seed)) for seed in (1, 1, 2)
    )
    assert same(one, again)
    assert not torch.equal(one.images, other.images)
    global_stream_untouched()


def test_ways_that_are_too_short_are_refused(image_set: ImageSet, teacher: Teacher, trajectories: Trajectories) -> None:
    with pytest.raises(ConfigError, match=r"reach to epoch 4 of the experts; got experts.epochs 3; lower") as caught:
        mtt(image_set, teacher, trajectories, settings(start_max=3, span=2), ipc=1)
    assert "\n" not in str(caught.value)


def test_experts_that_stand_still_are_one_line(
    image_set: ImageSet, teacher: Teacher, trajectories: Trajectories
) -> None:
    still = replace(trajectories, parameters=trajectories.parameters[:, :1].expand(-1, 4, -1).contiguous())
    with pytest.raises(
        NumericsError, match=r"got (inf|nan) in the loss of iteration 1, .* lower mtt.start_max,"
    ) as caught:
        mtt(image_set, teacher, still, settings(iterations=1), ipc=1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("change", [{"count": 3}, {"lr": 0.2}, {"strategy": "none"}])
def test_other_settings_give_other_experts(
    image_set: ImageSet, teacher: Teacher, trajectories: Trajectories, change: dict[str, Any]
) -> None:
    other = experts(image_set, teacher, expert_settings(**change)).parameters
    assert torch.equal(other[0, 0], trajectories.parameters[0, 0])  # the same start, by the seed
    assert torch.equal(other[0, -1], trajectories.parameters[0, -1]) == ("count" in change)


def test_batchnorm_is_refused(image_set: ImageSet, teacher: Teacher) -> None:
    with pytest.raises(ConfigError, match="unrolled through BatchNorm"):
        experts(image_set, teacher, expert_settings(arch="convnet1_w4_bn"))
