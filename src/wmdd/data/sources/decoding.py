"""Any image onto a square canvas.

Of an animation, the first frame is taken. Orientation from EXIF is applied; transparency is put on white; values of
more than 8 bits are scaled to 8 (`deep`); CMYK, palette and other modes become RGB, or grey if the set has one channel.
Then the short side is resized to S (bilinear, antialiased) and the centre S x S is kept, both in one step. Large JPEGs
are shrunk while they are decoded, to no less than 2S.
"""

import io
import os
import struct
import warnings
import zlib
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from wmdd.data.sources.deep import Extent, White, depth_of, extent_of, in_eight_bits
from wmdd.data.sources.listing import Payload, Rows, Store, in_one_line
from wmdd.errors import DataError
from wmdd.processors import processors

UNREADABLE = (
    OSError,
    ValueError,
    SyntaxError,  # Pillow raises it for a damaged PNG
    EOFError,
    LookupError,
    ArithmeticError,
    TypeError,
    AttributeError,
    AssertionError,
    RuntimeError,  # libavif's and libwebp's
    MemoryError,  # more pixels than fit
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""Pillow's errors for files that it cannot read: each of its readers of a format has its own."""
GREY_MODES = frozenset({"1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "I;16N", "F"})
_ALPHA_MODES = frozenset({"RGBA", "LA", "PA", "RGBa"})
_ORIENTATION = 0x0112
_ENDINGS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}
_PNG_START, _PNG_FRAME = 8, 12
"""Bytes before the first chunk, and those of a chunk besides its data: length, name, checksum."""
_BLOCK = 16
_SAMPLE = 50
_LARGEST_DEFAULT = 224


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """The common format of all images of a set."""

    channels: int
    side: int
    """S."""
    white: White = field(default_factory=White)


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """An image that cannot be read."""

    position: int
    reason: str


def canvas_side(image_size: int) -> int:
    """Return S for networks that see R: R below 128 pixels, else R * 8 / 7 (224 -> 256), to leave room for crops."""
    return image_size if image_size < 128 else round(image_size * 8 / 7)


def open_image(payload: Payload) -> Image.Image:
    """Open an encoded image; its pixels may not be read yet.

    Raises:
        UNREADABLE: the image is missing, of an unknown format, or of colours that Pillow does not convert.
    """
    if payload is None:
        raise OSError("no image")
    if isinstance(payload, np.ndarray):
        return Image.fromarray(payload)
    image = Image.open(io.BytesIO(payload) if isinstance(payload, bytes) else payload)
    if image.mode == "LAB":
        image.close()
        raise ValueError("LAB colours cannot be converted to RGB")
    return image


def to_canvas(image: Image.Image, canvas: Canvas) -> NDArray[np.uint8]:
    """Return the pixels of `image` on the canvas, uint8 `(ch, S, S)`."""
    depth = depth_of(image)
    image.draft(None, (2 * canvas.side, 2 * canvas.side))
    image = _upright(image)
    if depth:
        image = in_eight_bits(image, depth, canvas.white)
    image = _plain(image, "L" if canvas.channels == 1 else "RGB")
    width, height = image.size
    if (width, height) != (canvas.side, canvas.side):
        short = min(width, height)
        left, top = (width - short) / 2, (height - short) / 2
        box = (left, top, left + short, top + short)
        image = image.resize((canvas.side, canvas.side), Image.Resampling.BILINEAR, box=box)
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels[None] if canvas.channels == 1 else pixels.transpose(2, 0, 1)


def _upright(image: Image.Image) -> Image.Image:
    try:
        turned = image.getexif().get(_ORIENTATION, 1) != 1
    except UNREADABLE:
        return image  # damaged EXIF does not make the pixels unreadable
    return ImageOps.exif_transpose(image) if turned else image


def _plain(image: Image.Image, mode: str) -> Image.Image:
    """Return the image in `"L"` or `"RGB"`, without transparency."""
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        colour = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", colour.size, "white"), colour)
    return image if image.mode == mode else image.convert(mode)


def check_whole(payload: Payload) -> Extent | None:
    """Raise one of `UNREADABLE` if an image cannot be read, without decoding it if possible.

    The header is read. A JPEG or PNG with the right ending then counts as whole; anything else is decoded. So is an
    image of more than 8 bits, whose extent is returned.
    """
    with open_image(payload) as image:
        if depth := depth_of(image):
            return extent_of(image, depth)
        ending = _ENDINGS.get(image.format or "")
        file = getattr(image, "fp", None)
        if ending and file is not None:
            here = file.tell()
            length = file.seek(0, os.SEEK_END)
            file.seek(max(0, length - len(ending)))
            if file.read() == ending:
                return None
            file.seek(here)
        image.load()
    return None


def _require_checksums(image: Image.Image) -> None:
    """Raise `OSError` if the pixels of a PNG do not fit their checksums; libpng compares them, Pillow does not."""
    file = getattr(image, "fp", None)
    if image.format != "PNG" or file is None:
        return
    here = file.tell()
    file.seek(_PNG_START)
    data = memoryview(file.read())
    file.seek(here)
    start = 0
    while start + _PNG_FRAME <= len(data):
        end = start + 8 + int.from_bytes(data[start : start + 4])
        checksum = int.from_bytes(data[end : end + 4])
        if bytes(data[start + 4 : start + 8]) == b"IDAT" and zlib.crc32(data[start + 4 : end]) != checksum:
            raise OSError("a checksum in the file is wrong")
        start = end + 4


Extents = dict[int, Extent]
"""Position of an image of more than 8 bits → the extent of its values."""


def decode_into(
    out: NDArray[np.uint8], store: Store, rows: Rows, canvas: Canvas, *, threads: int, extents: Extents | None = None
) -> list[Broken]:
    """Decode images into `out`, uint8 `(len(rows), ch, S, S)`, and return those that cannot be read.

    The extents of images of more than 8 bits are put into `extents`.
    """

    def put(position: int, payload: Payload) -> None:
        with open_image(payload) as image:
            _require_checksums(image)
            depth = depth_of(image)
            out[position] = to_canvas(image, canvas)
            if depth and extents is not None:
                extents[position] = extent_of(image, depth)

    return each_image(store, rows, put, threads=threads)


def check_all(store: Store, rows: Rows, *, threads: int, extents: Extents | None = None) -> list[Broken]:
    """Return the images that `check_whole` finds unreadable; what it returns is put into `extents`."""

    def check(position: int, payload: Payload) -> None:
        extent = check_whole(payload)
        if extents is not None and extent:
            extents[position] = extent

    return each_image(store, rows, check, threads=threads)


def each_image(store: Store, rows: Rows, action: Callable[[int, Payload], None], *, threads: int) -> list[Broken]:
    """Call `action(position, payload)` for every row in a pool of threads, and return those that it cannot read.

    Pillow decodes without the GIL.
    """

    def block(start: int) -> list[Broken]:
        broken: list[Broken] = []
        for position, payload in enumerate(store.payloads(rows[start : start + _BLOCK]), start):
            try:
                action(position, payload)
            except UNREADABLE as error:
                broken.append(Broken(position=position, reason=_reason(error)))
        return broken

    starts = range(0, len(rows), _BLOCK)
    with _quiet():
        if threads <= 1 or len(starts) <= 1:
            return [broken for start in starts for broken in block(start)]
        with ThreadPoolExecutor(threads) as pool:
            return [broken for found in pool.map(block, starts) for broken in found]


def _reason(error: Exception) -> str:
    """Return why an image cannot be read, the same in every run."""
    return "not an image" if isinstance(error, UnidentifiedImageError) else in_one_line(error)


@contextmanager
def _quiet() -> Generator[None]:
    """Ignore Pillow's warnings about odd metadata: unreadable images are reported as broken."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def threads_to_use() -> int:
    """Return the number of processors that this process may use, at most 16."""
    return min(16, processors())


def sniff(store: Store, rows: Rows) -> tuple[int, int]:
    """Return suitable `(channels, image_size)` for a set, from the headers of up to 50 images spread over it.

    One channel if all of them are grey, else three; the short side of the first that can be read, at most 224.

    Raises:
        DataError: none of them can be read.
    """
    sample = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _SAMPLE)).astype(np.int64))]
    modes: list[str] = []
    sides: list[int] = []
    with _quiet():
        for payload in store.payloads(sample):
            try:
                with open_image(payload) as image:
                    mode, size = image.mode, image.size
                    if not sides:
                        image.load()  # a broken image does not decide the size
                    modes.append(mode)
                    sides.append(min(size))
            except UNREADABLE:
                continue
    if not modes:
        name = store.row_name(int(sample[0]))
        raise DataError(f"no image of a sample of {len(sample)} can be read; got {name!r} first; check the files")
    return 1 if GREY_MODES.issuperset(modes) else 3, max(4, min(_LARGEST_DEFAULT, sides[0]))
