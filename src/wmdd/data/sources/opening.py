"""Open data: whatever the user calls it, two `ImageSet`s come back."""

import hashlib
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from wmdd.data.sources.decoding import Broken, Canvas, canvas_side, check_all, decode_into, sniff, threads_to_use
from wmdd.data.sources.folders import image_files, list_folder
from wmdd.data.sources.hub import list_hub
from wmdd.data.sources.listing import Listing, hold_out, require_any, require_classes
from wmdd.data.sources.named import list_named
from wmdd.data.sources.names import SOURCES
from wmdd.data.sources.parquet import list_parquet, parquet_files
from wmdd.data.sources.pixels import DecodedImages, LazyImages
from wmdd.errors import ConfigError, DataError, did_you_mean
from wmdd.settings import DataSettings
from wmdd.values import Images, ImageSet

_DIGITS_HOLDOUT = 0.2  # a tenth of 1,797 images would make a coarse test
_FORMAT = "canvas 1"
"""Part of every fingerprint; to be changed with the pixels that `decoding` makes of a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """A split after reading, before it is known whether too much of it is broken."""

    listing: Listing
    images: Images
    broken: tuple[str, ...]
    reasons: tuple[str, ...]


def open_data(source: str, settings: DataSettings) -> tuple[ImageSet, ImageSet]:
    """Open the training and validation images of `source`: a name of `SOURCES`, a folder, Parquet, or `hf:owner/name`.

    Images that take up to `settings.memory_gb` GB are decoded into memory, the training images first; the rest are
    decoded as needed, after a look at each file's beginning and end (`decoding.check_whole`).
    A set without validation images gives up a stratified share of each class; `digits` always a fifth.

    Raises:
        DataError: the source is unknown, its layout is not understood, or images are broken or missing.
        ConfigError: `settings.channels` is neither 1 nor 3.
    """
    if settings.channels not in {None, 1, 3}:
        raise ConfigError(f"data.channels must be 1 or 3; got {settings.channels}; leave it out to follow the images")
    train, val = _list(source)
    require_classes(train)
    if val is None:
        train, val = hold_out(
            train, _DIGITS_HOLDOUT if source.lower() == "digits" else settings.holdout, settings.holdout_seed
        )
    channels, size = _form(train, settings)
    canvas = Canvas(channels=channels, side=canvas_side(size))
    budget = settings.memory_gb * 1e9
    opened: list[_Opened] = []
    for listing in (train, val):
        in_memory = _num_bytes(listing, canvas) <= budget
        budget -= _num_bytes(listing, canvas) if in_memory else 0
        opened.append(_read(listing, canvas, in_memory=in_memory))
    _require_few_broken(opened, settings.max_broken)
    require_classes(opened[0].listing)
    require_any(opened[1].listing)
    first, second = (_image_set(split, canvas, size) for split in opened)
    return first, second


def _list(source: str) -> tuple[Listing, Listing | None]:
    """Find out what `source` is; a known name goes before a folder of that name."""
    if source.startswith("hf:"):
        return list_hub(source.removeprefix("hf:"))
    name = source.lower().replace("_", "-")
    if name in SOURCES:
        return list_named(name)
    path = Path(source).expanduser()
    if path.is_file() and path.suffix == ".parquet":
        return list_parquet(path, path.stem)
    if path.is_dir():
        own = any(path.glob("*.parquet")) or any(path.glob("data/*.parquet"))
        if own or (next(image_files(path, path), None) is None and parquet_files(path)):
            return list_parquet(path, path.resolve().name)
        return list_folder(path)
    raise DataError(_unknown(source, path))


def _unknown(source: str, path: Path) -> str:
    if path.exists():
        return f"a single file must be Parquet; got {source!r}; give a .parquet file or a folder of images"
    if os.sep in source or "/" in source or source.startswith((".", "~")):
        return f"there is no such folder or file; got {source!r}; check the path"
    return f"unknown data; got {source!r}, neither a known name nor a folder{did_you_mean(source.lower(), SOURCES)}"


def _form(train: Listing, settings: DataSettings) -> tuple[int, int]:
    """Return channels and image size, from the settings or else from the images."""
    if settings.channels is not None and settings.image_size is not None:
        return settings.channels, settings.image_size
    channels, size = sniff(train.store, train.rows)
    return settings.channels or channels, settings.image_size or size


def _num_bytes(listing: Listing, canvas: Canvas) -> int:
    return math.prod((len(listing), canvas.channels, canvas.side, canvas.side))


def _read(listing: Listing, canvas: Canvas, *, in_memory: bool) -> _Opened:
    """Decode or check the images of a split, and leave out those that cannot be read."""
    threads = threads_to_use()
    if in_memory:
        pixels = np.empty((len(listing), canvas.channels, canvas.side, canvas.side), dtype=np.uint8)
        broken = decode_into(pixels, listing.store, listing.rows, canvas, threads=threads)
        kept = _without(listing, broken)
        images: Images = DecodedImages(torch.from_numpy(pixels[_mask(listing, broken)] if broken else pixels))
    else:
        broken = check_all(listing.store, listing.rows, threads=threads)
        kept = _without(listing, broken)
        images = LazyImages(kept, canvas)
    names = tuple(listing.image_name(image.position) for image in broken)
    return _Opened(listing=kept, images=images, broken=names, reasons=tuple(image.reason for image in broken))


def _mask(listing: Listing, broken: list[Broken]) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    kept = np.ones(len(listing), dtype=bool)
    kept[[image.position for image in broken]] = False
    return kept


def _without(listing: Listing, broken: list[Broken]) -> Listing:
    return listing.take(_mask(listing, broken)) if broken else listing


def _require_few_broken(opened: list[_Opened], allowed: int) -> None:
    broken = [name for split in opened for name in split.broken]
    if len(broken) <= allowed:
        return
    reasons = [reason for split in opened for reason in split.reasons]
    shown = ", ".join(f"{name} ({reason})" for name, reason in list(zip(broken, reasons, strict=True))[:5])
    more = f" and {len(broken) - 5} more" if len(broken) > 5 else ""
    total = sum(len(split.listing) for split in opened) + len(broken)
    raise DataError(
        f"{len(broken)} of {total} images of {opened[0].listing.name!r} cannot be read; got {shown}{more}; "
        f"repair or remove them, or leave them out with --data.max_broken {len(broken)}"
    )


def _image_set(split: _Opened, canvas: Canvas, image_size: int) -> ImageSet:
    listing = split.listing
    return ImageSet(
        name=listing.name,
        split=listing.split,
        classes=listing.classes,
        labels=torch.from_numpy(np.ascontiguousarray(listing.labels)),
        images=split.images,
        channels=canvas.channels,
        canvas=canvas.side,
        image_size=image_size,
        fingerprint=_fingerprint(listing, canvas),
        broken=split.broken,
    )


def _fingerprint(listing: Listing, canvas: Canvas) -> str:
    """Hash what the set is made of; where it lies, its name and how it is kept do not count."""
    digest = hashlib.sha256()
    digest.update("\0".join((_FORMAT, str(canvas.side), str(canvas.channels), *listing.classes)).encode() + b"\0")
    digest.update(listing.labels.astype("<i8").tobytes())
    for part in listing.store.identity(listing.rows):
        digest.update(part)
    return digest.hexdigest()
