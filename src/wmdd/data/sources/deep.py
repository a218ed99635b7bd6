"""Images of more than 8 bits: which of their values becomes white.

Files of 16 or 32 bits, and those of floating-point numbers, often use a part of their range only. A file that says how
much it uses (TIFF's BitsPerSample below 16, or SMaxSampleValue) is taken at its word; of all others in the training and
validation images, the largest value decides, so that one factor holds for the set. Integers have 8, 10, 12, ... bits;
floating-point numbers end at 1, or at 255, or else as integers do.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wmdd.warnings import RunWarning

_BITS_PER_SAMPLE, _LARGEST_SAMPLE = 258, 341
_COLOUR = {"RGB": 3, "RGBA": 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class White:
    """The values that become 255; those above do too, negative ones become 0."""

    integer: int = 65535
    real: int = 1
    """The same for floating-point numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """How an image of more than 8 bits holds its values."""

    real: bool
    """Floating-point numbers."""
    cut: bool
    """Colours of 16 bits, of which Pillow gives the upper 8 only."""
    white: int | None
    """The value that becomes white, if the file says so."""

    def white_in(self, common: White) -> int:
        """Return the value that becomes white, where `common` holds for all files that do not say it."""
        return self.white or (common.real if self.real else common.integer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """Smallest and largest value of one image."""

    depth: Depth
    low: float
    high: float


def depth_of(image: Image.Image) -> Depth | None:
    """Return the depth of an opened image, before its pixels are read; None for 8 bits or fewer."""
    real, cut = image.mode == "F", image.mode in _COLOUR and ";16" in str(getattr(image, "tile", ""))
    if not (real or cut or image.mode.startswith("I")):
        return None
    tags: Mapping[int, Any] = getattr(image, "tag_v2", {})
    bits, largest = _first(tags.get(_BITS_PER_SAMPLE)), _first(tags.get(_LARGEST_SAMPLE))
    if largest > 0:
        return Depth(real=real, cut=cut, white=_white_of(largest, real=real))
    return Depth(real=real, cut=cut, white=2**bits - 1 if 8 < bits < 16 else None)


def _first(value: Any) -> Any:
    found = value[0] if isinstance(value, tuple) and value else value
    return found if isinstance(found, (int, float)) and np.isfinite(found) else 0


def _white_of(largest: float, *, real: bool) -> int:
    """Return 2^b - 1 for the smallest even number of bits b >= 8 that holds a value.

    Of floating-point numbers, whose largest may exceed their range a little, 1 and 255 hold up to twice as much.
    """
    if real and largest <= 2:
        return 1
    if real and largest <= 510:
        return 255
    bits = max(8, int(largest).bit_length())
    return 2 ** (bits + bits % 2) - 1


def extent_of(image: Image.Image, depth: Depth) -> Extent:
    """Read an image and return its extent.

    Raises:
        ValueError: a floating-point number is not finite.
    """
    if depth.cut:
        high = max(band[1] for band in image.getextrema()[: _COLOUR[image.mode]])  # pyright: ignore[reportIndexIssue]
        return Extent(depth=depth, low=0, high=256 * high + 255)
    values = _finite(image)
    return Extent(depth=depth, low=float(values.min()), high=float(values.max()))


def _finite(image: Image.Image) -> NDArray[Any]:
    values = np.asarray(image)
    if not np.isfinite(values).all():
        raise ValueError("its floating-point pixels are not all finite")
    return values


def common_white(extents: Iterable[Extent]) -> White:
    """Return the values that become white in the files of a set that do not say it."""
    largest = {False: 0.0, True: 0.0}
    for extent in extents:
        if extent.depth.white is None:
            largest[extent.depth.real] = max(largest[extent.depth.real], extent.high)
    whites = {real: _white_of(high, real=real) for real, high in largest.items() if high > 0}
    return White(integer=whites.get(False, White().integer), real=whites.get(True, White().real))


def in_eight_bits(image: Image.Image, depth: Depth, common: White) -> Image.Image:
    """Return an image with values of 8 bits, in the mode that it has or in `"L"`.

    Raises:
        ValueError: a floating-point number is not finite.
    """
    white = depth.white_in(common)
    if depth.cut:
        if white == White().integer:
            return image
        upper = max(1, white >> 8)
        table = [min(255, round(255 * value / upper)) for value in range(256)]
        colours = _COLOUR[image.mode]
        return image.point(table * colours + list(range(256)) * (len(image.getbands()) - colours))
    values = _finite(image)
    if depth.real:
        scaled = np.rint(np.clip(values.astype(np.float64) / white, 0, 1) * 255)
    else:
        scaled = (510 * np.clip(values.astype(np.int64), 0, white) + white) // (2 * white)  # rounded
    return Image.fromarray(scaled.astype(np.uint8))


def tell_range(extents: Mapping[str, Extent], common: White) -> list[RunWarning]:
    """Say which values become white, unless all images fill 16 bits; `extents` has them by name."""
    told: list[RunWarning] = []
    for real in (False, True):
        group = {name: extent for name, extent in extents.items() if extent.depth.real is real}
        whites = {extent.depth.white_in(common) for extent in group.values()}
        negative = sum(extent.low < 0 for extent in group.values())
        if group and (real or negative or whites != {White().integer}):
            told.append(_warning(group, real, sorted(whites), negative))
    return told


def _warning(extents: Mapping[str, Extent], real: bool, whites: list[int], negative: int) -> RunWarning:
    name = max(extents, key=lambda each: extents[each].high)
    values = "floating-point values" if real else "values in files of more than 8 bits"
    seen = f"{len(extents)} images have {values} up to {extents[name].high:g} ({name}), so "
    seen += f"{' or '.join(map(str, whites))} becomes white"
    if negative:
        seen += f", and negative values, in {negative} of them, become black"
    if any(extent.depth.cut for extent in extents.values()) and whites[0] < White().integer:
        seen += f"; of 16-bit colours only the upper 8 bits are read, here {max(1, whites[0] >> 8) + 1} levels"
    return RunWarning(kind="pixel range", text=f"{seen}; if this is wrong, convert them to 8 bits", count=len(extents))
