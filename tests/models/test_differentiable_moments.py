"""Class moments against a plain autograd formula, float64 and gradcheck; the BN loss is 0 on its own data."""

import pytest
import torch
from torch import Tensor, nn

from wmdd.models.batchnorm import batchnorm_layers
from wmdd.models.building import build_model, resolve_spec
from wmdd.models.differentiable_moments import batchnorm_moments, class_moments


def plain_moments(x: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """The formula as written, by plain autograd: x (G K, F, ...) -> (G, F) twice."""
    groups, per_class = weights.shape
    rows = x.reshape(groups, per_class, x.shape[1], -1)
    each = weights.to(x.dtype)[:, :, None, None] / rows.shape[3]
    mean = (each * rows).sum((1, 3))
    return mean, (each * (rows - mean[:, None, :, None]).square()).sum((1, 3))


def simplex(groups: int, per_class: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(groups, per_class, dtype=dtype).softmax(1)


def grid(shape: tuple[int, ...], layout: str) -> Tensor:
    x = torch.randn(shape) * 2 + 3
    return x.contiguous(memory_format=torch.channels_last) if layout == "channels_last" else x


def gradient(moments, x: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    leaf, tilt = x.detach().clone().requires_grad_(), weights.log().requires_grad_()
    mean, variance = moments(leaf, tilt.softmax(1))  # the formulas agree where the weights add up to one
    ((mean - 1).square().sum() + (variance - 0.5).square().sum()).backward()
    assert leaf.grad is not None
    assert tilt.grad is not None
    return leaf.grad, tilt.grad


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("shift", [None, 3.0, -7.0])
def test_equal_to_the_plain_formula(layout: str, shift: float | None) -> None:
    x, weights = grid((6, 5, 4, 3), layout), simplex(2, 3)
    about = None if shift is None else torch.full((5,), shift)
    for ours, theirs in zip(class_moments(x, weights, shift=about), plain_moments(x, weights), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    found = gradient(lambda x, w: class_moments(x, w, shift=about), x, weights)
    for ours, theirs in zip(found, gradient(plain_moments, x, weights), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


def test_features_without_positions() -> None:
    x, weights = torch.randn(6, 5), simplex(3, 2)
    for ours, theirs in zip(class_moments(x, weights), plain_moments(x, weights), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_uniform_weights_give_mean_and_biased_variance() -> None:
    x = torch.randn(8, 3, 4, 4, dtype=torch.float64)
    mean, variance = class_moments(x, torch.full((2, 4), 0.25, dtype=torch.float64))
    rows = x.view(2, 4, 3, 16).transpose(1, 2).flatten(2)
    torch.testing.assert_close(mean, rows.mean(2))
    torch.testing.assert_close(variance, rows.var(2, correction=0))


def test_gradcheck() -> None:
    x = torch.randn(4, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    weights = simplex(2, 2, torch.float64).requires_grad_()
    shift = torch.randn(3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x, w: class_moments(x, w, shift=shift), (x, weights))


def test_the_shift_keeps_small_variances_beside_large_means() -> None:
    x = torch.randn(4, 2, 8, 8, dtype=torch.float64) * 1e-2 + 100
    weights = torch.full((1, 4), 0.25)
    _, exact = plain_moments(x, weights.double())
    _, shifted = class_moments(x.float(), weights, shift=torch.full((2,), 100.0))
    torch.testing.assert_close(shifted, exact.float(), rtol=1e-2, atol=0)


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_bfloat16_inputs_give_fp32_moments(layout: str) -> None:
    x, weights = grid((6, 5, 4, 4), layout).bfloat16(), simplex(2, 3)
    for ours, theirs in zip(class_moments(x, weights), plain_moments(x.float(), weights), strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    ours = gradient(class_moments, x, weights)[0]
    theirs = gradient(plain_moments, x.float(), weights)[0]
    assert ours.dtype == torch.bfloat16
    torch.testing.assert_close(ours.float(), theirs, rtol=0.05, atol=0.02 * float(theirs.abs().max()))


def test_weights_must_fit_the_batch() -> None:
    with pytest.raises(ValueError, match="do not fit a batch of 5 images"):
        class_moments(torch.randn(5, 3), torch.ones(2, 2) / 2)


def teacher(arch: str = "convnet2_w8_bn") -> nn.Module:
    model = build_model(resolve_spec(arch, num_classes=3, channels=3, image_size=8))
    with torch.no_grad():
        model.train()(torch.randn(16, 3, 8, 8) + 1)  # running statistics apart from 0 and 1
    return model.eval().requires_grad_(False)


def recorded_inputs(model: nn.Module, x: Tensor) -> list[Tensor]:
    inputs: list[Tensor] = []
    handles = [
        layer.register_forward_pre_hook(lambda _, args: inputs.append(args[0])) for _, layer in batchnorm_layers(model)
    ]
    model(x)
    for handle in handles:
        handle.remove()
    return inputs


@pytest.mark.parametrize("arch", ["convnet2_w8_bn", "shufflenetv2"])
def test_all_layers_equal_the_plain_formula_with_the_networks_own_gradient(arch: str) -> None:
    model, x, weights = teacher(arch), torch.randn(4, 3, 8, 8), simplex(2, 2)

    def loss_and_gradient(tapped: bool) -> tuple[Tensor, Tensor]:
        leaf = x.clone().requires_grad_()
        if tapped:
            with batchnorm_moments(model, weights) as tap:
                logits = model(leaf)
            means, variances = tap.means, tap.variances
            assert tap.features.shape[0] == 4
        else:
            pairs = [plain_moments(inputs, weights) for inputs in recorded_inputs(model, leaf)]
            means, variances = (torch.cat(part, dim=1) for part in zip(*pairs, strict=True))
            logits = model(leaf)
        loss = means.square().sum() + variances.square().sum() + logits.square().sum()
        loss.backward()
        assert leaf.grad is not None
        return loss.detach(), leaf.grad

    for ours, theirs in zip(loss_and_gradient(True), loss_and_gradient(False), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4 * float(theirs.abs().max()))


def test_batchnorm_loss_is_zero_on_its_own_data_and_not_elsewhere() -> None:
    model, weights = teacher(), torch.full((2, 4), 0.25)
    x = torch.randn(8, 3, 8, 8)
    inputs = recorded_inputs(model.double(), x.double())
    pairs = [plain_moments(each, weights) for each in inputs]
    means, variances = (torch.cat(part, dim=1).float() for part in zip(*pairs, strict=True))
    model.float()

    def loss(images: Tensor) -> float:
        with batchnorm_moments(model, weights, means.mean(0)) as tap:
            model(images)
        return float((tap.means - means).square().sum() + (tap.variances - variances).square().sum())

    assert loss(x) < 1e-9
    assert loss(x + 0.5) > 1e-3
    assert loss(x) < 1e-9


def test_a_class_answers_alone_as_in_company() -> None:
    model, x, weights = teacher(), torch.randn(6, 3, 8, 8), simplex(2, 3)
    with batchnorm_moments(model, weights) as both:
        model(x)
    with batchnorm_moments(model, weights[1:]) as alone:
        model(x[3:])
    torch.testing.assert_close(alone.means, both.means[1:])
    torch.testing.assert_close(alone.variances, both.variances[1:])


def test_each_forward_replaces_the_last_and_none_is_an_error() -> None:
    model, weights = teacher(), simplex(1, 2)
    with batchnorm_moments(model, weights) as tap:
        with pytest.raises(RuntimeError, match="0 of 2 BatchNorm layers"):
            _ = tap.means
        model(torch.randn(2, 3, 8, 8))
        first = tap.means
        assert tap.means is first
        model(torch.randn(2, 3, 8, 8))
        assert not torch.equal(first, tap.means)


@pytest.mark.gpu
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_cuda_agrees_with_the_cpu(layout: str) -> None:
    x, weights, shift = grid((6, 5, 4, 4), layout), simplex(2, 3), torch.full((5,), 3.0)
    here = gradient(lambda x, w: class_moments(x, w, shift=shift), x, weights)
    there = gradient(lambda x, w: class_moments(x, w, shift=shift.cuda()), x.cuda(), weights.cuda())
    for ours, theirs in zip(there, here, strict=True):
        torch.testing.assert_close(ours.cpu(), theirs, rtol=1e-4, atol=1e-5)
