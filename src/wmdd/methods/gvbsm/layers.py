"""What enters the layers of a network, laid out so that moments of channels and of patches are one and the same sum."""

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]

PATCH = 4
"""Side of a patch in pixels of the feature map (G-VBSM, CVPR 2024)."""


def statistic_layers(model: nn.Module) -> list[tuple[str, nn.Module, tuple[str, ...]]]:
    """Return name, module and kinds of statistics of every BatchNorm (channels) and convolution (channels, patches)."""
    kinds = (
        (name, module, ("channels",) if isinstance(module, _BatchNorm) else ("channels", "patches"))
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm | nn.Conv2d)
    )
    return list(kinds)


def as_channels(x: Tensor, kind: str) -> Tensor:
    """Return a layer's input `(B, F, ...)` so that the axis whose moments are wanted is the second.

    `channels`: as it is. `patches`: `(B, cells, F * 16)`, the map enlarged bilinearly to sides that are multiples of 4
    and cut in cells of 4 x 4, row by row; a cell's moments are over images, channels and its 16 pixels.
    """
    if kind == "channels":
        return x
    height, width = (-(-side // PATCH) for side in x.shape[2:])
    if x.shape[2:] != (height * PATCH, width * PATCH):
        x = F.interpolate(x, (height * PATCH, width * PATCH), mode="bilinear", align_corners=False)
    cells = x.reshape(len(x), x.shape[1], height, PATCH, width, PATCH).permute(0, 2, 4, 1, 3, 5)
    return cells.reshape(len(x), height * width, -1)
