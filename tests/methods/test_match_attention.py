"""DataDAM: attention maps and a step's loss against a plain computation, one image and one channel at a time."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from memory_context import MemoryContext
from wmdd.data.class_batches import ClassBatches
from wmdd.data.dsa import apply_dsa, draw_dsa
from wmdd.errors import ConfigError
from wmdd.methods.datadam import DatadamSettings
from wmdd.methods.datadam.distill import attention_map, match_attention
from wmdd.models.building import fresh_network, network_spec
from wmdd.models.convnet import ConvNet
from wmdd.training.pixels import unbounded_set
from wmdd.values import ImageSet, Teacher

CPU = torch.device("cpu")


def datadam(**changes: object) -> DatadamSettings:
    return DatadamSettings(**{"arch": "convnet2_w4", "iterations": 4, "batch_real": 5, "lr": 0.5, **changes})


def test_a_map_adds_powers_over_channels_and_has_unit_norm() -> None:
    activation = torch.tensor([[[[1.0, -2.0]], [[2.0, 0.0]]], [[[0.0, 0.0]], [[0.0, 0.0]]]])  # (2, 2, 1, 2)
    found = attention_map(activation, 2.0)
    assert found.tolist() == [pytest.approx([5 / math.sqrt(41), 4 / math.sqrt(41)]), [0.0, 0.0]]
    assert attention_map(activation, 1.0)[0].tolist() == pytest.approx([3 / math.sqrt(13), 2 / math.sqrt(13)])


def plain_statistics(model: ConvNet, batch: Tensor, power: float) -> tuple[Tensor, Tensor]:
    """Return the mean map of the first of two blocks, and the mean features; image by image."""
    maps, features = [], []
    for image in batch:
        convolution, norm, relu, *_ = model.blocks
        assert isinstance(norm, nn.Module)
        activation = relu(norm(convolution(image[None])))[0]
        total = torch.zeros(activation.shape[1:])
        for channel in activation:
            total = total + channel.abs() ** power
        maps.append(total.flatten() / total.square().sum().sqrt())
        features.append(model.embed(image[None])[0])
    return sum(maps[1:], maps[0]) / len(batch), sum(features[1:], features[0]) / len(batch)


@pytest.mark.parametrize("power", [1.0, 4.0])
def test_one_step_is_the_equations(image_set: ImageSet, teacher: Teacher, power: float) -> None:
    strategy, weight = "crop_scale", 0.3
    ctx = MemoryContext()
    chosen = datadam(iterations=1, strategy=strategy, power=power, weight=weight)
    found = match_attention(image_set, teacher, chosen, ipc=2, ctx=ctx)
    real = ClassBatches(images=image_set, form=teacher, device=CPU)
    start = torch.cat([real.draw(label, 2, ctx.generator("start", label)) for label in range(3)])
    images = start.clone().requires_grad_()
    model = fresh_network(network_spec("convnet2_w4", image_set, teacher.spec.stem), ctx, "network", 0)
    assert isinstance(model, ConvNet)
    total = torch.zeros(())
    for label in range(3):
        drawn = draw_dsa(strategy, 8, 1, ctx.generator("dsa", 0, label))
        batch = apply_dsa(real.draw(label, 5, ctx.generator("real", 0, label)), drawn)
        own = plain_statistics(model, apply_dsa(images[2 * label : 2 * label + 2], drawn), power)
        wanted = [each.detach() for each in plain_statistics(model, batch, power)]
        total = total + 100 * (own[0] - wanted[0]).square().sum() + 100 * weight * (own[1] - wanted[1]).square().sum()
    total.backward()
    assert ctx.rows[0]["loss"] == pytest.approx(float(total.detach()), rel=1e-4)
    assert images.grad is not None
    assert found.exact is not None
    expected = unbounded_set("datadam", start - 0.5 * images.grad, teacher)
    torch.testing.assert_close(found.exact, expected.exact, rtol=1e-3, atol=1e-4)


def test_real_images_themselves_have_no_distance(make_image_set: Callable[..., ImageSet], teacher: Teacher) -> None:
    images, ctx = make_image_set(per_class=4), MemoryContext()
    match_attention(images, teacher, datadam(iterations=1), ipc=4, ctx=ctx)
    assert ctx.rows[0]["loss"] == pytest.approx(0, abs=1e-6)


def test_the_weight_scales_the_features_beside_the_maps(image_set: ImageSet, teacher: Teacher) -> None:
    losses = []
    for weight in (0.0, 1.0, 2.0):
        ctx = MemoryContext()
        match_attention(image_set, teacher, datadam(iterations=1, weight=weight), ipc=1, ctx=ctx)
        losses.append(ctx.rows[0]["loss"])
    assert losses[2] - losses[1] == pytest.approx(losses[1] - losses[0], rel=1e-4)
    assert losses[0] > 0


@pytest.mark.parametrize("arch", ["convnet1_w4", "vit_tiny"])
def test_a_network_without_two_activations_is_refused(image_set: ImageSet, teacher: Teacher, arch: str) -> None:
    with pytest.raises(ConfigError, match=r"all ReLU layers but the last; got a network with [01]; set datadam\.arch"):
        match_attention(image_set, teacher, datadam(arch=arch), ipc=1)


def test_a_residual_network_has_maps_too(image_set: ImageSet, teacher: Teacher) -> None:
    ctx = MemoryContext()
    match_attention(image_set, teacher, datadam(arch="resnet18", iterations=2, batch_real=4), ipc=1, ctx=ctx)
    assert all(math.isfinite(row["loss"]) for row in ctx.rows)


def test_the_loss_falls(image_set: ImageSet, teacher: Teacher) -> None:
    ctx = MemoryContext()
    chosen = datadam(iterations=40, strategy="none", batch_real=6, start="noise")
    match_attention(image_set, teacher, chosen, ipc=1, ctx=ctx)
    losses = [row["loss"] for row in ctx.rows]
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])
