"""Taps read what they say, in module order, and leave no hook behind."""

import pytest
import torch
from torch import Tensor, nn

from wmdd.errors import ConfigError
from wmdd.models.batchnorm import batchnorm_layers, batchnorm_widths, require_batchnorm
from wmdd.models.building import build_model, resolve_spec
from wmdd.models.taps import final_classifier, tap_batchnorm, tap_features


def network(arch: str = "convnet2_w8_bn") -> nn.Module:
    torch.manual_seed(0)
    return build_model(resolve_spec(arch, num_classes=5, channels=3, image_size=8)).eval()


def hooks(model: nn.Module) -> int:
    return sum(len(module._forward_pre_hooks) + len(module._forward_hooks) for module in model.modules())


def test_features_are_the_embedding() -> None:
    model = network()
    x = torch.randn(4, 3, 8, 8)
    with tap_features(model) as tap:
        model(x)
    torch.testing.assert_close(tap.features, model.embed(x))


def test_features_carry_gradients() -> None:
    model = network()
    x = torch.randn(2, 3, 8, 8, requires_grad=True)
    with tap_features(model) as tap:
        model(x)
    tap.features.square().sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0


def test_features_before_any_forward_are_an_error() -> None:
    with tap_features(network()) as tap, pytest.raises(RuntimeError, match="no forward pass"):
        _ = tap.features


def test_batchnorm_inputs_arrive_in_module_order() -> None:
    model = network("resnet18")
    seen: dict[int, Tensor] = {}
    with tap_batchnorm(model, seen.__setitem__):
        model(torch.randn(2, 3, 8, 8))
    assert sorted(seen) == list(range(20))
    assert tuple(seen[position].shape[1] for position in sorted(seen)) == batchnorm_widths(model)
    names = [name for name, _ in batchnorm_layers(model)]
    assert names[0] == "bn1"
    assert names == [name for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)]


def test_a_returned_tensor_takes_the_inputs_place() -> None:
    model = network()
    x = torch.randn(2, 3, 8, 8)
    with tap_batchnorm(model, lambda _, inputs: torch.zeros_like(inputs)):
        zero = model(x)
    assert torch.equal(zero[0], zero[1])
    assert not torch.equal(model(x)[0], zero[0])


@pytest.mark.parametrize("tap", [tap_features, lambda model: tap_batchnorm(model, lambda *_: None)])
def test_hooks_are_gone_afterwards_and_after_an_error(tap) -> None:
    model = network()
    with tap(model):
        assert hooks(model) > 0
    assert hooks(model) == 0
    with pytest.raises(RuntimeError, match="shape|channels"), tap(model):
        model(torch.randn(1, 9, 8, 8))
    assert hooks(model) == 0


@pytest.mark.parametrize("arch", ["vit_tiny", "convnet3", "convnet1_w8_in"])
def test_networks_without_batchnorm_cannot_be_recovered_from(arch: str) -> None:
    with torch.device("meta"):
        model = network(arch)
    with pytest.raises(ConfigError, match=rf"needs a teacher with BatchNorm; got {arch}.*use one of resnet18"):
        require_batchnorm(model, arch)


def test_networks_with_batchnorm_can() -> None:
    require_batchnorm(network(), "convnet2_w8_bn")


def test_batchnorm_without_running_statistics_does_not_count() -> None:
    with pytest.raises(ConfigError, match="got mine"):
        require_batchnorm(nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False)), "mine")


def test_a_network_without_a_last_linear_layer_is_refused() -> None:
    with pytest.raises(ConfigError, match="one linear layer"):
        final_classifier(nn.Sequential(nn.Linear(2, 2)))
