"""Unrolled training: gradients against finite differences and against the reverse sweep; schedule and parameters."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from wmdd.models.convnet import ConvNet
from wmdd.training.losses import label_loss
from wmdd.training.unroll import (
    Step,
    flatten,
    schedule,
    swept_loss,
    unflatten,
    unroll,
    unrolled_loss,
    xavier_start,
)

Loss = Callable[..., Tensor]


class Scene:
    """A small network in float64 with three classes, two images per class, and real images to test on."""

    def __init__(self, norm: str = "in", channels: int = 1, classes: int = 3) -> None:
        stream = torch.Generator().manual_seed(1)
        self.model = ConvNet(classes, channels, 4, depth=1, width=3, norm=norm).double()
        self.start = xavier_start(self.model, stream)
        self.images = torch.randn(2 * classes, channels, 4, 4, dtype=torch.float64, generator=stream)
        self.labels = torch.arange(classes).repeat_interleave(2)
        self.rates = torch.tensor([0.3, 0.1, 0.2, 0.4], dtype=torch.float64)
        self.real = torch.randn(7, channels, 4, 4, dtype=torch.float64, generator=stream)
        self.classes = torch.randint(classes, (7,), generator=stream)

    def outer(self, weights: dict[str, Tensor]) -> Tensor:
        return label_loss(functional_call(self.model, weights, (self.real,)), self.classes)

    def loss(self, kind: Loss, images: Tensor, rates: Tensor) -> Tensor:
        return kind(self.model, self.start, schedule(images, self.labels, ipc=2, steps=4), rates, self.outer)


@pytest.mark.parametrize("kind", [unrolled_loss, swept_loss])
@pytest.mark.parametrize(("norm", "channels"), [("in", 1), ("nn", 3)])
def test_gradients_equal_finite_differences(kind: Loss, norm: str, channels: int) -> None:
    scene = Scene(norm, channels)
    images, rates = scene.images.clone().requires_grad_(), scene.rates.clone().requires_grad_()
    scene.loss(kind, images, rates).backward()
    assert images.grad is not None
    assert rates.grad is not None
    step = 1e-6
    for place in range(0, images.numel(), 5):
        shift = torch.zeros(images.numel(), dtype=torch.float64)
        shift[place] = step
        up = scene.loss(kind, scene.images + shift.view_as(images), scene.rates)
        down = scene.loss(kind, scene.images - shift.view_as(images), scene.rates)
        expected = float((up - down).detach() / (2 * step))
        assert float(images.grad.flatten()[place]) == pytest.approx(expected, rel=1e-5, abs=1e-9)
    for place in range(4):
        shift = torch.eye(4, dtype=torch.float64)[place] * step
        up = scene.loss(kind, scene.images, scene.rates + shift)
        down = scene.loss(kind, scene.images, scene.rates - shift)
        expected = float((up - down).detach() / (2 * step))
        assert float(rates.grad[place]) == pytest.approx(expected, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("norm", ["in", "nn"])
def test_the_reverse_sweep_equals_autograd(norm: str) -> None:
    scene, found = Scene(norm), []
    for kind in (unrolled_loss, swept_loss):
        images, rates = scene.images.clone().requires_grad_(), scene.rates.clone().requires_grad_()
        seen = 2.0 * images  # images may have a graph of their own, such as an augmentation's
        loss = scene.loss(kind, seen, rates)
        found.append((loss.detach(), *torch.autograd.grad(loss, [images, rates])))
    for graph, sweep in zip(*found, strict=True):
        torch.testing.assert_close(sweep, graph, rtol=1e-12, atol=1e-14)


def test_one_step_is_plain_sgd_and_the_start_stays() -> None:
    scene = Scene()
    before = {name: value.clone() for name, value in scene.start.items()}
    step: Step = (scene.images, scene.labels)
    moved = unroll(scene.model, scene.start, [step], torch.tensor([0.5], dtype=torch.float64), create_graph=False)
    scene.model.load_state_dict(scene.start)
    label_loss(scene.model(scene.images), scene.labels).backward()
    torch.optim.SGD(scene.model.parameters(), 0.5).step()
    for name, value in scene.model.named_parameters():
        torch.testing.assert_close(moved[name], value.detach())
        assert torch.equal(scene.start[name], before[name])
        assert not moved[name].requires_grad


def test_a_rate_for_each_step_is_needed() -> None:
    scene = Scene()
    with pytest.raises(ValueError, match="zip"):
        unroll(scene.model, scene.start, [(scene.images, scene.labels)], scene.rates)


def test_the_schedule_takes_one_image_of_every_class_in_turn() -> None:
    images, labels = torch.arange(6.0).view(6, 1, 1, 1), torch.tensor([0, 0, 0, 1, 1, 1])
    steps = schedule(images, labels, ipc=3, steps=6)
    assert [step[0].flatten().tolist() for step in steps] == [[0, 3], [1, 4], [2, 5]] * 2
    assert all(step[1].tolist() == [0, 1] for step in steps)


def test_parameters_as_one_vector_and_back() -> None:
    model = Scene().model
    vector = flatten(dict(model.named_parameters()))
    assert vector.shape == (sum(value.numel() for value in model.parameters()),)
    for name, value in unflatten(vector, model).items():
        assert torch.equal(value, model.get_parameter(name))


def test_xavier_start_has_zero_biases_unit_scales_and_glorot_s_variance() -> None:
    model = nn.Sequential(nn.Conv2d(64, 64, 3), nn.GroupNorm(64, 64), nn.Linear(300, 500))
    drawn = xavier_start(model, torch.Generator().manual_seed(0))
    assert drawn.keys() == dict(model.named_parameters()).keys()
    assert all(not drawn[name].any() for name in drawn if name.endswith("bias"))
    assert torch.equal(drawn["1.weight"], torch.ones(64))
    assert float(drawn["0.weight"].var()) == pytest.approx(2 / (9 * 128), rel=0.02)
    assert float(drawn["2.weight"].var()) == pytest.approx(2 / 800, rel=0.02)
    again = xavier_start(model, torch.Generator().manual_seed(0))
    assert all(torch.equal(drawn[name], again[name]) for name in drawn)
