"""Gradient matching: the loss is the published one, loops and draws are where they belong."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from memory_context import KilledError, MemoryContext
from wmdd.context import Context
from wmdd.data.class_batches import ClassBatches
from wmdd.data.dsa import apply_dsa, draw_dsa
from wmdd.errors import ConfigError, DataError
from wmdd.methods.dc import DcSettings
from wmdd.methods.dsa import DsaSettings
from wmdd.methods.kits import gradients as stage
from wmdd.methods.kits.gradients import match_gradients
from wmdd.methods.kits.matching import SiameseBatches
from wmdd.methods.kits.settings import GradientSettings
from wmdd.models.batchnorm import batchnorm_layers, recalibrate_batchnorm
from wmdd.models.building import build_model, fresh_network, network_spec
from wmdd.training.recalibration import BATCHNORM_IMAGES
from wmdd.values import DistilledSet, ImageSet, Teacher

TINY = {"arch": "convnet2_w4", "iterations": 2, "batch_real": 5, "inner": 2, "batch_net": 4}


def dc(**changes: Any) -> DcSettings:
    return DcSettings(**{**TINY, **changes})


def dsa(**changes: Any) -> DsaSettings:
    return DsaSettings(**{**TINY, **changes})


def exact(distilled: DistilledSet) -> Tensor:
    assert distilled.exact is not None
    return distilled.exact


@pytest.mark.parametrize("settings", [dc(), dsa()])
def test_first_step_agrees_with_plain_autograd(
    settings: GradientSettings, image_set: ImageSet, teacher: Teacher
) -> None:
    ctx = MemoryContext()
    one = settings.with_(iterations=1, outer=1)
    found = exact(match_gradients(image_set, teacher, one, ipc=2, ctx=ctx))
    start = torch.cat([starting(settings, image_set, teacher, ctx, label) for label in range(3)])
    images = start.clone().requires_grad_()
    model = fresh_network(network_spec("convnet2_w4", image_set, teacher.spec.stem), ctx, "network", 0)
    real = ClassBatches(images=image_set, form=teacher, device=torch.device("cpu"))
    total = torch.zeros(())
    for label in range(3):
        drawn = draw_dsa(settings.strategy, 8, 1, ctx.generator("dsa", 0, label))
        batches = (real.draw(label, 5, ctx.generator("real", 0, label)), images[2 * label : 2 * label + 2])
        both = [gradients(model, apply_dsa(batch, drawn), label) for batch in batches]
        for one_part, other in zip(*both, strict=True):
            if one_part.ndim > 1:
                total = total + sum(
                    1 - F.cosine_similarity(a.flatten(), b.flatten(), 0)
                    for a, b in zip(one_part.detach(), other, strict=True)
                )
    total.backward()
    assert ctx.rows[0]["loss"] == pytest.approx(float(total.detach()), rel=1e-3)
    assert images.grad is not None
    torch.testing.assert_close(found, start - 0.1 * images.grad, rtol=1e-3, atol=2e-4)


def starting(settings: GradientSettings, train: ImageSet, teacher: Teacher, ctx: Context, label: int) -> Tensor:
    generator = ctx.generator("start", label)
    if settings.start == "noise":
        return torch.randn(2, 3, 8, 8, generator=generator)
    return ClassBatches(images=train, form=teacher, device=ctx.device).draw(label, 2, generator)


def gradients(model: nn.Module, images: Tensor, label: int) -> tuple[Tensor, ...]:
    loss = F.cross_entropy(model(images), torch.full((len(images),), label))
    return torch.autograd.grad(loss, list(model.parameters()), create_graph=True)


def test_real_images_themselves_have_no_distance(make_image_set: Callable[..., ImageSet], teacher: Teacher) -> None:
    for settings in (dc(start="real", batch_real=4), dsa(batch_real=4)):
        ctx = MemoryContext()
        match_gradients(make_image_set(per_class=4), teacher, settings.with_(iterations=1, outer=1), ipc=4, ctx=ctx)
        assert ctx.rows[0]["loss"] == pytest.approx(0, abs=2e-3)


def test_real_and_distilled_images_meet_under_one_transform(
    monkeypatch: pytest.MonkeyPatch, image_set: ImageSet, teacher: Teacher
) -> None:
    used: list[tuple[int, Any]] = []

    def spy(images: Tensor, parameters: Any) -> Tensor:
        used.append((len(images), parameters))
        return apply_dsa(images, parameters)

    monkeypatch.setattr("wmdd.methods.kits.matching.apply_dsa", spy)
    meet = SiameseBatches.of(image_set, teacher, dsa(), Context())
    for step in range(10):
        for label in range(3):
            meet.pair(torch.zeros(2, 3, 8, 8), label, step)
    pairs = list(zip(used[::2], used[1::2], strict=True))
    assert all((real[0], distilled[0]) == (5, 2) for real, distilled in pairs)
    assert all(real[1] is distilled[1] for real, distilled in pairs)
    assert all(len(real[1].values) == 1 for real, _ in pairs)
    assert len({real[1].group for real, _ in pairs}) > 3  # a draw for each class and step


def test_networks_are_trained_between_image_steps_on_the_images(
    monkeypatch: pytest.MonkeyPatch, image_set: ImageSet, teacher: Teacher
) -> None:
    rows: list[int] = []

    def spy(strategy: str, side: int, count: int, generator: torch.Generator) -> Any:
        rows.append(count)
        return draw_dsa(strategy, side, count, generator)

    monkeypatch.setattr(stage, "draw_dsa", spy)
    match_gradients(image_set, teacher, dsa(), ipc=2)
    # Two networks, each trained once (its last image step is followed by none) for two epochs of six images.
    assert rows == [4, 2] * 2 * 2


def carried(ctx: MemoryContext, teacher: Teacher) -> nn.Module:
    """Return the network that a saved state holds."""
    weights = {name.removeprefix("carried/"): value for name, value in ctx.kept["images"].tensors.items()}
    model = build_model(replace(teacher.spec, arch="convnet2_w4"))
    model.load_state_dict({name: weights[name] for name in model.state_dict()})
    return model


def test_training_agrees_with_plain_gradient_descent(image_set: ImageSet, teacher: Teacher) -> None:
    settings, labels = dc(batch_net=6, inner=3, outer=3, iterations=1), torch.tensor([0, 0, 1, 1, 2, 2])
    before, after = (MemoryContext(dies_after=image_steps) for image_steps in (1, 2))
    for ctx in (before, after):
        with pytest.raises(KilledError):
            match_gradients(image_set, teacher, settings, ipc=2, ctx=ctx)
    images, (model, plain) = (
        before.kept["images"].tensors["variable/images"],
        (carried(ctx, teacher) for ctx in (after, before)),
    )
    for _ in range(3):
        parts = torch.autograd.grad(F.cross_entropy(plain(images), labels), list(plain.parameters()))
        with torch.no_grad():
            for parameter, part in zip(plain.parameters(), parts, strict=True):
                parameter -= 0.01 * part
    for one, other in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("ipc", "loops"), [(1, (1, 500)), (10, (10, 50)), (30, (30, 20)), (40, (40, 15)), (50, (50, 10))]
)
def test_loops_are_the_papers(ipc: int, loops: tuple[int, int]) -> None:
    assert DcSettings().loops(ipc) == loops
    assert DsaSettings().loops(3) == (3, 166)
    assert DcSettings(outer=4, inner=2).loops(ipc) == (4, 2)


@pytest.mark.parametrize("arch", ["convnet2_w4", "convnet2_w4_bn"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("ipc", [1, 3])
def test_a_kill_changes_nothing(
    ipc: int, channels: int, arch: str, make_image_set: Callable[..., ImageSet], teacher: Teacher
) -> None:
    images = make_image_set(channels=channels)
    spec = replace(teacher.spec, channels=channels)
    teacher = replace(teacher, spec=spec, mean=(0.5,) * channels, std=(0.25,) * channels)
    settings = dsa(arch=arch, outer=3)
    whole = exact(match_gradients(images, teacher, settings, ipc=ipc, method="dsa"))
    for dies_after in (2, 4):  # in the midst of the first network's steps; after the second network's first
        ctx = MemoryContext(dies_after=dies_after)
        with pytest.raises(KilledError):
            match_gradients(images, teacher, settings, ipc=ipc, method="dsa", ctx=replace(ctx, stage="notebook"))
        found = match_gradients(images, teacher, settings, ipc=ipc, method="dsa", ctx=ctx.again())
        assert torch.equal(exact(found), whole)
    assert whole.shape == (3 * ipc, channels, 8, 8)
    assert bool(torch.isfinite(whole).all())


def test_seeds_decide_and_the_global_stream_is_left_alone(
    image_set: ImageSet, teacher: Teacher, global_stream_untouched: Callable[[], None]
) -> None:
    first, second, other = (
        exact(match_gradients(image_set, teacher, dsa(), ipc=1, ctx=Context(seed=seed))) for seed in (0, 0, 1)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    global_stream_untouched()


@pytest.mark.parametrize(("distance", "lr"), [("rows", 1.0), ("cos", 10.0)])
def test_the_loss_falls(distance: str, lr: float, image_set: ImageSet, teacher: Teacher) -> None:
    ctx = MemoryContext()
    settings = dc(iterations=25, distance=distance, lr=lr, batch_real=6)
    match_gradients(image_set, teacher, settings, ipc=1, ctx=ctx)
    losses = [row["loss"] for row in ctx.rows]
    assert sum(losses[-8:]) < 0.8 * sum(losses[:8])


def test_batchnorm_is_settled_on_real_images_of_all_classes(image_set: ImageSet, teacher: Teacher) -> None:
    spec = network_spec("convnet2_w4_bn", image_set, teacher.spec.stem)
    model = build_model(spec)
    images = torch.randn(9, 3, 8, 8) + 2
    for _ in range(2):  # what was there before does not matter
        recalibrate_batchnorm(model, (images,))
    name, layer = batchnorm_layers(model)[0]
    convolved = model.get_submodule("blocks.0")(images)
    torch.testing.assert_close(layer.get_buffer("running_mean"), convolved.mean((0, 2, 3)))
    torch.testing.assert_close(layer.get_buffer("running_var"), convolved.transpose(0, 1).flatten(1).var(1))
    assert model.training
    assert not layer.training
    assert getattr(layer, "momentum", None) == 0.1
    assert name
    one = model(images[:1])
    torch.testing.assert_close(model(images)[:1], one)  # an image no longer depends on its batch


def test_batchnorm_images_are_few_of_each_class(
    monkeypatch: pytest.MonkeyPatch, make_image_set: Callable[..., ImageSet], teacher: Teacher
) -> None:
    seen: list[int] = []
    monkeypatch.setattr(
        "wmdd.training.recalibration.recalibrate_batchnorm", lambda _, batches: seen.append(len(batches[0]))
    )
    images = make_image_set(per_class=20)
    for arch in ("convnet2_w4", "convnet2_w4_bn"):
        match_gradients(images, teacher, dc(arch=arch, iterations=1, outer=2), ipc=1)
    assert seen == [3 * BATCHNORM_IMAGES] * 3  # in two steps, and for the loss at the end


def test_networks_that_do_not_fit_and_other_classes_are_refused(image_set: ImageSet, teacher: Teacher) -> None:
    with pytest.raises(ConfigError, match="convnet4 halves images 4 times"):
        match_gradients(image_set, teacher, dc(arch="convnet4"), ipc=1)
    with pytest.raises(DataError, match="disagree about the classes"):
        match_gradients(image_set, replace(teacher, classes=("a", "b", "c")), dc(), ipc=1)
