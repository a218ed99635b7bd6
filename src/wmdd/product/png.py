"""Images as PNG bytes: lossless, and the same bytes for the same pixels."""

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from wmdd.errors import DataError

_MAX_CHANNELS = 4


def encode_png(image: Tensor) -> bytes:
    """Return a uint8 image `(ch, H, W)` as PNG; ch = 1 grey, 2 grey + alpha, 3 RGB, 4 RGBA.

    Raises:
        DataError: the image has more than 4 channels.
    """
    channels = image.shape[0]
    if channels > _MAX_CHANNELS:
        raise DataError(f"PNG keeps at most 4 channels; got {channels}; choose --data.channels 1 or 3")
    pixels = image.permute(1, 2, 0).contiguous().cpu().numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def decode_png(png: bytes) -> Tensor:
    """Return the uint8 pixels `(ch, H, W)` of a PNG made by `encode_png`."""
    with Image.open(io.BytesIO(png)) as image:
        pixels = torch.from_numpy(np.array(image))
    return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1).contiguous()
