"""Images as PNG bytes: lossless, and the same bytes for the same pixels. Free of torch."""

import io
import struct
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wmdd.errors import DataError
from wmdd.product.checked import Flaw

if TYPE_CHECKING:
    from torch import Tensor

Pixels = NDArray[np.uint8]
"""Channels, height, width."""
_MAX_CHANNELS = 4
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 4: 2, 2: 3, 6: 4}
"""PNG's colour types: grey, grey + alpha, RGB, RGBA."""


def encode_png(image: "Tensor") -> bytes:
    """Return a uint8 image `(ch, H, W)` as PNG; ch = 1 grey, 2 grey + alpha, 3 RGB, 4 RGBA.

    Raises:
        DataError: the image has more than 4 channels.
    """
    if image.shape[0] > _MAX_CHANNELS:
        raise DataError(f"PNG keeps at most 4 channels; got {image.shape[0]}; choose --data.channels 1 or 3")
    buffer = io.BytesIO()
    picture(image.cpu().numpy()).save(buffer, format="PNG")
    return buffer.getvalue()


def picture(pixels: Pixels) -> Image.Image:
    """Return pixels `(ch, H, W)` as Pillow's image."""
    return Image.fromarray(np.ascontiguousarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)))


def decode_png(png: bytes, shape: tuple[int, int, int]) -> Pixels:
    """Return the pixels `(ch, H, W)` of a PNG made by `encode_png`, which are of the given shape.

    Raises:
        Flaw: the bytes are no PNG of this shape; found before anything is decoded, so that a decompression bomb is
            refused by what its header says. Where the rest is damaged, an error of Pillow's.
    """
    found = _shape(png)
    if found != shape:
        raise Flaw("no PNG of 8 bits a channel" if found is None else f"a picture {_named(found)}, not {_named(shape)}")
    with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
        if image.size != (shape[2], shape[1]):  # a second header
            raise Flaw(f"a picture of {image.width} x {image.height} pixels behind another header")
        pixels = np.array(image)
    pixels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    if pixels.shape != shape or pixels.dtype != np.uint8:
        raise Flaw(f"pixels of another form: {pixels.dtype}, {pixels.shape}")
    return pixels


def _shape(png: bytes) -> tuple[int, int, int] | None:
    """Return what the header of a PNG of 8 bits a channel says; None for anything else."""
    head = png[:26]
    if len(head) < 26 or head[:8] != _SIGNATURE or head[12:16] != b"IHDR" or head[24] != 8 or head[25] not in _CHANNELS:
        return None
    width, height = struct.unpack(">II", head[16:24])
    return _CHANNELS[head[25]], height, width


def _named(shape: tuple[int, int, int]) -> str:
    return " x ".join(map(str, shape))
