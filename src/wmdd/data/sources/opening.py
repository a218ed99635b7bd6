"""Open any kind of data as two `ImageSet`s."""

import hashlib
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from wmdd.code_digest import code_digest
from wmdd.data.sources.decoding import Canvas, Extents, canvas_side, check_all, decode_into, sniff, threads_to_use
from wmdd.data.sources.deep import White, common_white, tell_range
from wmdd.data.sources.duplicates import group_identical, tell_shared, tell_two_labels
from wmdd.data.sources.holdout import train_and_test, with_development
from wmdd.data.sources.listing import Listing, NoLabelledImagesError, Source, Splits, require_any, require_classes
from wmdd.data.sources.named import NAMED
from wmdd.data.sources.pixels import DecodedImages, LazyImages
from wmdd.data.sources.table import PACKAGED, find_source, list_forms
from wmdd.errors import ConfigError, DataError
from wmdd.settings import DataSettings
from wmdd.values import ImageSet
from wmdd.warnings import RunWarning

_FORMAT = "canvas 1"
"""Part of every fingerprint; to be changed whenever `decoding` makes other pixels of a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """A split after reading, before the number of broken images is checked."""

    listing: Listing
    pixels: NDArray[np.uint8] | None
    """`(N, ch, S, S)`; None = read as needed."""
    extents: Extents
    broken: dict[str, str] = field(default_factory=dict)
    """Name of an unreadable image → the reason."""


def open_data(source: str, settings: DataSettings) -> tuple[ImageSet, ImageSet]:
    """Open the training and validation images of `source`: any of `table.list_forms()`.

    Up to `settings.memory_gb` GB of images are decoded into memory, the training images first; other splits are decoded
    as needed, after a check of each file's beginning and end (`decoding.check_whole`). If a set has no validation
    images, a share of each class is held out, `holdout.hold_out`; of `digits` always a fifth. With
    `settings.development`, development images are then cut from the training images and returned as the second set, and
    no test image is opened. What a user should know is in the `warnings` of the training images.

    Raises:
        DataError: the source is unknown, its layout is not recognised, or images are broken or missing.
        ConfigError: `settings.channels` is neither 1 nor 3.
    """
    if settings.channels not in {None, 1, 3}:
        raise ConfigError(f"data.channels must be 1 or 3; got {settings.channels}; leave it out to follow the images")
    splits = _list_splits(source, settings)
    require_classes(splits.train)
    parts = train_and_test(splits, settings)
    canvas, image_size = _form(parts.train, settings)  # before development images are cut off: that changes no size
    parts = with_development(parts, settings)
    train, tested = _read_splits((parts.train, parts.tested), canvas, settings)
    compared = parts.warnings if parts.groups is not None else _compare((train.listing, tested.listing))
    canvas, told = _settle_range((train, tested), canvas)
    warnings = (*splits.warnings, *compared, *told, *_tell_broken((train, tested)))
    return (
        replace(_image_set(train, canvas, image_size), warnings=warnings),
        replace(_image_set(tested, canvas, image_size), held_out=parts.held_out, development=parts.development),
    )


def _compare(listings: tuple[Listing, Listing]) -> list[RunWarning]:
    """Say which pictures are in both splits, or in several classes."""
    groups = group_identical(*listings)
    return tell_two_labels(listings, groups) + tell_shared(*listings, groups)


def _list_splits(source: str, settings: DataSettings) -> Splits:
    kind = find_source(source)
    _require_columns_of(kind, source, settings)
    try:
        splits: Any = kind.list_splits(source, settings)
    except NoLabelledImagesError as error:
        forms = "; ".join(f"{form} ({about})" for form, about in list_forms().items() if form not in NAMED.forms)
        folder = os.fspath(error.args[0])
        raise DataError(f"no labelled images found; got folder {folder!r}; give one of: {forms}") from None
    if not isinstance(splits, Splits):  # of a package's source
        owner = PACKAGED.owner(source.partition(":")[0])
        raise DataError(f"data {source!r} of {owner} must be listed as Splits; got {type(splits).__name__}; mend it")
    return splits


def _require_columns_of(kind: Source, source: str, settings: DataSettings) -> None:
    given = [name for name in ("image_column", "label_column") if getattr(settings, name) is not None]
    if given and not kind.has_columns:
        raise ConfigError(f"data.{given[0]} is for Parquet; got {source!r}, which has no columns; leave it out")


def _form(train: Listing, settings: DataSettings) -> tuple[Canvas, int]:
    """Return the common form of all images, and the side that networks see."""
    channels, size = settings.channels, settings.image_size
    if channels is None or size is None:
        sniffed = sniff(train.store, train.rows)
        channels, size = channels or sniffed[0], size or sniffed[1]
    return Canvas(channels=channels, side=canvas_side(size)), size


def _read_splits(listings: tuple[Listing, Listing], canvas: Canvas, settings: DataSettings) -> tuple[_Opened, _Opened]:
    budget = settings.memory_gb * 1e9
    opened: list[_Opened] = []
    for listing in listings:
        num_bytes = math.prod((len(listing), canvas.channels, canvas.side, canvas.side))
        in_memory = num_bytes <= budget
        budget -= num_bytes if in_memory else 0
        opened.append(_read(listing, canvas, in_memory=in_memory))
    train, val = opened
    _require_few_broken(opened, settings.max_broken)
    require_classes(train.listing)
    require_any(val.listing)
    return train, val


def _read(listing: Listing, canvas: Canvas, *, in_memory: bool) -> _Opened:
    """Decode or check the images of a split, and leave out those that cannot be read."""
    threads, extents, pixels = threads_to_use(), Extents(), None
    if in_memory:
        pixels = np.empty((len(listing), canvas.channels, canvas.side, canvas.side), dtype=np.uint8)
        broken = decode_into(pixels, listing.store, listing.rows, canvas, threads=threads, extents=extents)
    else:
        broken = check_all(listing.store, listing.rows, threads=threads, extents=extents)
    if not broken:
        return _Opened(listing=listing, pixels=pixels, extents=extents)
    readable = np.ones(len(listing), dtype=bool)
    readable[[image.position for image in broken]] = False
    moved = np.cumsum(readable) - 1
    return _Opened(
        listing=listing.take(readable),
        pixels=None if pixels is None else pixels[readable],
        extents={int(moved[position]): extent for position, extent in extents.items()},
        broken={listing.image_name(image.position): image.reason for image in broken},
    )


def _settle_range(opened: Sequence[_Opened], canvas: Canvas) -> tuple[Canvas, list[RunWarning]]:
    """Fix which values of images of more than 8 bits become white, in all splits, and decode these images again."""
    extents = {
        split.listing.image_name(position): extent
        for split in opened
        for position, extent in sorted(split.extents.items())
    }
    white = common_white(extents.values())
    if white != canvas.white:
        canvas = replace(canvas, white=white)
        for split in opened:
            if split.pixels is not None and split.extents:
                positions = np.array(sorted(split.extents), dtype=np.int64)
                again = split.pixels[positions]
                decode_into(again, split.listing.store, split.listing.rows[positions], canvas, threads=threads_to_use())
                split.pixels[positions] = again
    return canvas, tell_range(extents, white)


def _require_few_broken(opened: Sequence[_Opened], allowed: int) -> None:
    broken, listed = _broken(opened)
    if len(broken) <= allowed:
        return
    total = sum(len(split.listing) for split in opened) + len(broken)
    raise DataError(
        f"{len(broken)} of {total} images of {opened[0].listing.name!r} cannot be read; got {listed}; "
        f"repair or remove them, or leave them out with --data.max_broken {len(broken)}"
    )


def _tell_broken(opened: Sequence[_Opened]) -> list[RunWarning]:
    broken, listed = _broken(opened)
    if not broken:
        return []
    word = "image" if len(broken) == 1 else "images"
    text = (
        f"{len(broken)} {word} of {opened[0].listing.name!r} cannot be read and {'is' if len(broken) == 1 else 'are'} "
        f"left out; got {listed}; repair or remove them"
    )
    return [RunWarning(kind="broken images", text=text, count=len(broken))]


def _broken(opened: Sequence[_Opened]) -> tuple[list[tuple[str, str]], str]:
    """Return names and reasons of all broken images, and the first few of them as text."""
    broken = [image for split in opened for image in split.broken.items()]
    more = f" and {len(broken) - 5} more" if len(broken) > 5 else ""
    return broken, ", ".join(f"{name} ({reason})" for name, reason in broken[:5]) + more


def _image_set(split: _Opened, canvas: Canvas, image_size: int) -> ImageSet:
    listing = split.listing
    return ImageSet(
        name=listing.name,
        split=listing.split,
        classes=listing.classes,
        labels=torch.from_numpy(np.ascontiguousarray(listing.labels)),
        images=LazyImages(listing, canvas) if split.pixels is None else DecodedImages(torch.from_numpy(split.pixels)),
        channels=canvas.channels,
        canvas=canvas.side,
        image_size=image_size,
        fingerprint=_fingerprint(listing, canvas),
        broken=tuple(split.broken),
    )


def _fingerprint(listing: Listing, canvas: Canvas) -> str:
    """Hash the content of a set, regardless of its location, its name and its storage."""
    digest = hashlib.sha256()
    white = () if canvas.white == White() else (repr(canvas.white),)
    code = code_digest(type(listing.store).__module__)  # of a package's own kind of store, which makes the pixels
    form = (_FORMAT, *white, *([code] if code else []), str(canvas.side), str(canvas.channels), *listing.classes)
    digest.update("\0".join(form).encode() + b"\0")
    digest.update(listing.labels.astype("<i8").tobytes())
    for part in listing.store.identity(listing.rows):
        digest.update(part)
    return digest.hexdigest()
