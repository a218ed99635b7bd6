"""Where G-VBSM takes its statistics, and how a layer's input is laid out for them."""

import pytest
import torch
from torch import Tensor, nn

from wmdd.methods.gvbsm.layer_statistics import as_channels, statistic_layers
from wmdd.models.building import build_model, resolve_spec
from wmdd.models.taps import tap_inputs


def naive_patches(x: Tensor) -> list[tuple[float, float]]:
    """Return mean and variance of each 4 x 4 cell over images, channels and pixels, by definition."""
    found = []
    for top in range(0, x.shape[2], 4):
        for left in range(0, x.shape[3], 4):
            cell = x[:, :, top : top + 4, left : left + 4].flatten()
            found.append((float(cell.mean()), float(cell.var(correction=0))))
    return found


@pytest.mark.parametrize("size", [(8, 12), (4, 4)])
def test_patches_are_cells_of_four_by_four(size: tuple[int, int]) -> None:
    x = torch.randn(3, 5, *size)
    cells = as_channels(x, "patches")
    assert cells.shape == (3, size[0] * size[1] // 16, 5 * 16)
    moments = [(float(cell.mean()), float(cell.var(correction=0))) for cell in cells.unbind(1)]
    assert moments == [pytest.approx(pair, rel=1e-5) for pair in naive_patches(x)]


@pytest.mark.parametrize(("side", "cells"), [(1, 1), (2, 1), (5, 4), (7, 4), (9, 9)])
def test_maps_of_other_sizes_are_enlarged_first(side: int, cells: int) -> None:
    x = torch.randn(2, 3, side, side)
    whole = -(-side // 4) * 4
    larger = nn.functional.interpolate(x, (whole, whole), mode="bilinear", align_corners=False)
    assert as_channels(x, "patches").shape[1] == cells
    torch.testing.assert_close(as_channels(x, "patches"), as_channels(larger, "patches"))


def test_channels_are_left_as_they_are() -> None:
    x = torch.randn(2, 3, 4, 5)
    assert as_channels(x, "channels") is x


@pytest.mark.parametrize("arch", ["convnet2_w4_bn", "resnet18"])
def test_every_batchnorm_and_convolution_is_tapped_in_module_order(arch: str) -> None:
    model = build_model(resolve_spec(arch, num_classes=3, channels=1, image_size=16)).eval()
    layers = statistic_layers(model)
    modules = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d | nn.Conv2d)]
    assert [module for _, module, _ in layers] == modules
    assert all(("patches" in kinds) is isinstance(module, nn.Conv2d) for _, module, kinds in layers)
    seen: dict[int, Tensor] = {}
    with tap_inputs((module for _, module, _ in layers), lambda position, x: seen.update({position: x})):
        model(torch.randn(2, 1, 16, 16))
    assert sorted(seen) == list(range(len(layers)))
    model(torch.randn(1, 1, 16, 16))
    assert len(seen[0]) == 2  # no hook stays behind
