"""Networks in words: what is said builds the network."""

from typing import Any

import pytest
import timm
import torch

from wmdd.models.building import build_model, resolve_spec
from wmdd.models.definition import definition
from wmdd.models.names import list_models

NAMES = [name for name in list_models() if name[-1] not in "]E"]


@pytest.mark.parametrize("arch", [*NAMES, "timm:regnetx_002"])
@pytest.mark.parametrize("size", [32, 224])
def test_the_parameters_are_those_of_the_network(arch: str, size: int) -> None:
    spec = resolve_spec(arch, num_classes=7, channels=3, image_size=size)
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in build_model(spec).parameters())
    words = definition(spec)
    assert f"for 3 x {size} x {size} images and 7 classes: {count:,} parameters" in words
    assert "\n" not in words


@pytest.mark.parametrize(
    ("arch", "size", "said"),
    [
        ("resnet18", 32, '`timm.create_model("resnet18", num_classes=10, in_chans=1)`, the first convolution 3 x 3'),
        ("resnet18", 224, '`timm.create_model("resnet18", num_classes=10, in_chans=1)`, for 1 x 224 x 224 images'),
        ("vit_tiny", 32, "img_size=32, patch_size=4)`, for"),
        ("convnet2_w32_bn", 8, "ConvNet of 2 blocks (3 x 3 convolution to 32 channels, BatchNorm, ReLU"),
        ("convnet3", 32, "to 128 channels, instance norm"),
        ("shufflenetv2", 32, "shufflenet_v2_x1_0`, the first convolution 3 x 3 at stride 1"),
    ],
)
def test_what_is_said(arch: str, size: int, said: str) -> None:
    assert said in definition(resolve_spec(arch, num_classes=10, channels=1, image_size=size))


def test_the_code_for_timm_builds_the_network() -> None:
    words = definition(resolve_spec("vit_tiny", num_classes=10, channels=3, image_size=32))
    code = words.split("`")[1]
    built: Any = eval(code, {"timm": timm})  # noqa: S307 - our own words
    assert f"{sum(parameter.numel() for parameter in built.parameters()):,} parameters" in words


def test_the_global_stream_is_left_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    definition(resolve_spec("resnet18", num_classes=10, channels=3, image_size=32))
    assert torch.equal(torch.rand(2), expected)
