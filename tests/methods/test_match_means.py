"""Distribution matching: the loss is the distance of mean features under fresh random networks."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from memory_context import KilledError, MemoryContext
from wmdd.context import Context
from wmdd.data.class_batches import ClassBatches
from wmdd.data.dsa import apply_dsa, draw_dsa
from wmdd.methods.dm import DmSettings
from wmdd.methods.dm.distill import match_means
from wmdd.models.building import fresh_network, network_spec
from wmdd.models.convnet import ConvNet
from wmdd.values import DistilledSet, ImageSet, Teacher


def dm(**changes: Any) -> DmSettings:
    return DmSettings(**{"arch": "convnet2_w4", "iterations": 4, "batch_real": 5, **changes})


def exact(distilled: DistilledSet) -> Tensor:
    assert distilled.exact is not None
    return distilled.exact


@pytest.mark.parametrize("strategy", ["none", "color", "rotate"])
def test_first_step_agrees_with_plain_means(strategy: str, image_set: ImageSet, teacher: Teacher) -> None:
    ctx = MemoryContext()
    settings = dm(iterations=1, strategy=strategy, lr=0.5)
    found = exact(match_means(image_set, teacher, settings, ipc=2, ctx=ctx))
    real = ClassBatches(images=image_set, form=teacher, device=torch.device("cpu"))
    start = torch.cat([real.draw(label, 2, ctx.generator("start", label)) for label in range(3)])
    images = start.clone().requires_grad_()
    model = fresh_network(network_spec("convnet2_w4", image_set, teacher.spec.stem), ctx, "network", 0)
    assert isinstance(model, ConvNet)
    total = torch.zeros(())
    for label in range(3):
        drawn = draw_dsa(strategy, 8, 1, ctx.generator("dsa", 0, label))
        batch = apply_dsa(real.draw(label, 5, ctx.generator("real", 0, label)), drawn)
        wanted = sum(model.embed(image[None])[0] for image in batch) / 5
        own = sum(model.embed(image[None])[0] for image in apply_dsa(images[2 * label : 2 * label + 2], drawn)) / 2
        total = total + (own - wanted.detach()).square().sum()
    total.backward()
    assert ctx.rows[0]["loss"] == pytest.approx(float(total.detach()), rel=1e-4)
    assert images.grad is not None
    torch.testing.assert_close(found, start - 0.5 * images.grad, rtol=1e-4, atol=1e-5)


def test_real_images_themselves_have_no_distance(make_image_set: Callable[..., ImageSet], teacher: Teacher) -> None:
    images, ctx = make_image_set(per_class=4), MemoryContext()
    match_means(images, teacher, dm(iterations=1), ipc=4, ctx=ctx)
    assert ctx.rows[0]["loss"] == pytest.approx(0, abs=1e-8)


def test_the_rate_is_the_papers_unless_it_is_given() -> None:
    assert [DmSettings().rate(ipc) for ipc in (1, 99, 100)] == [1.0, 1.0, 10.0]
    assert DmSettings(lr=0.3).rate(100) == 0.3


@pytest.mark.parametrize("arch", ["convnet2_w4", "convnet2_w4_bn"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("ipc", [1, 3])
def test_a_kill_changes_nothing(
    ipc: int, channels: int, arch: str, make_image_set: Callable[..., ImageSet], teacher: Teacher
) -> None:
    images = make_image_set(channels=channels)
    spec = replace(teacher.spec, channels=channels)
    teacher = replace(teacher, spec=spec, mean=(0.5,) * channels, std=(0.25,) * channels)
    whole = exact(match_means(images, teacher, dm(arch=arch), ipc=ipc))
    ctx = MemoryContext(dies_after=2)
    with pytest.raises(KilledError):
        match_means(images, teacher, dm(arch=arch), ipc=ipc, ctx=ctx)
    assert torch.equal(exact(match_means(images, teacher, dm(arch=arch), ipc=ipc, ctx=ctx.again())), whole)
    assert whole.shape == (3 * ipc, channels, 8, 8)
    assert bool(torch.isfinite(whole).all())


def test_seeds_decide_and_the_global_stream_is_left_alone(
    image_set: ImageSet, teacher: Teacher, global_stream_untouched: Callable[[], None]
) -> None:
    first, second, other = (
        exact(match_means(image_set, teacher, dm(), ipc=1, ctx=Context(seed=seed))) for seed in (0, 0, 1)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    global_stream_untouched()


def test_the_loss_falls(image_set: ImageSet, teacher: Teacher) -> None:
    ctx = MemoryContext()
    match_means(image_set, teacher, dm(iterations=40, strategy="none", batch_real=6, start="noise"), ipc=1, ctx=ctx)
    losses = [row["loss"] for row in ctx.rows]
    assert sum(losses[-5:]) < 0.6 * sum(losses[:5])
