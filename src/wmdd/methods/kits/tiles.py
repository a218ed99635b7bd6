"""Images made of tiles: squares cut from real images, resized and laid side by side (RDED, CVPR 2024)."""

import torch
import torch.nn.functional as F
from torch import Tensor


def cut(pixels: Tensor, boxes: Tensor, side: int) -> Tensor:
    """Return the box (top, left, side) of each image, resized: uint8 `(B, ch, side, side)` from `(B, ch, S, S)`.

    Bilinear, and with antialiasing, for these pixels are kept (views are not, and `data/views.py` has none).
    """
    squares = [
        image[None, :, top : top + length, left : left + length]
        for image, (top, left, length) in zip(pixels, boxes.tolist(), strict=True)
    ]
    return torch.cat([F.interpolate(square, (side, side), mode="bilinear", antialias=True) for square in squares])


def tile_images(crops: Tensor, factor: int, size: int) -> Tensor:
    """Return images `(n, ch, size, size)` of factor x factor crops, from `(factor² n, ch, t, t)` with factor t ≥ size.

    Tile k, row by row, of image i is crop k n + i.
    """
    count, channels, side = len(crops) // factor**2, crops.shape[1], crops.shape[-1]
    grid = crops.view(factor, factor, count, channels, side, side).permute(2, 3, 0, 4, 1, 5)
    return grid.reshape(count, channels, factor * side, factor * side)[..., :size, :size].contiguous()
