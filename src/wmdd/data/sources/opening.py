"""Open any kind of data as two `ImageSet`s."""

import hashlib
import math
import os
from typing import NamedTuple

import numpy as np
import torch

from wmdd.context import stream
from wmdd.data.sources.decoding import Canvas, canvas_side, check_all, decode_into, sniff, threads_to_use
from wmdd.data.sources.listing import Listing, NoLabelledImagesError, Splits, require_any, require_classes
from wmdd.data.sources.named import NAMED
from wmdd.data.sources.pixels import DecodedImages, LazyImages
from wmdd.data.sources.table import find_source, list_forms
from wmdd.errors import ConfigError, DataError
from wmdd.settings import DataSettings
from wmdd.values import Images, ImageSet

_FORMAT = "canvas 1"
"""Part of every fingerprint; to be changed whenever `decoding` makes other pixels of a file."""


class _Opened(NamedTuple):
    """A split after reading, before the number of broken images is checked."""

    listing: Listing
    images: Images
    broken: dict[str, str]
    """Name of an unreadable image → the reason."""


def open_data(source: str, settings: DataSettings) -> tuple[ImageSet, ImageSet]:
    """Open the training and validation images of `source`: any of `table.list_forms()`.

    Up to `settings.memory_gb` GB of images are decoded into memory, the training images first; other splits are decoded
    as needed, after a check of each file's beginning and end (`decoding.check_whole`). If a set has no validation
    images, a share of each class is held out; of `digits` always a fifth.

    Raises:
        DataError: the source is unknown, its layout is not recognised, or images are broken or missing.
        ConfigError: `settings.channels` is neither 1 nor 3.
    """
    if settings.channels not in {None, 1, 3}:
        raise ConfigError(f"data.channels must be 1 or 3; got {settings.channels}; leave it out to follow the images")
    splits = _list_splits(source)
    train, val = splits.train, splits.val
    require_classes(train)
    if val is None:
        train, val = _hold_out(train, splits.holdout or settings.holdout, settings.holdout_seed)
    channels, size = settings.channels, settings.image_size
    if channels is None or size is None:
        sniffed = sniff(train.store, train.rows)
        channels, size = channels or sniffed[0], size or sniffed[1]
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
    return _image_set(opened[0], canvas, size), _image_set(opened[1], canvas, size)


def _list_splits(source: str) -> Splits:
    try:
        return find_source(source).list_splits(source)
    except NoLabelledImagesError as error:
        forms = "; ".join(f"{form} ({about})" for form, about in list_forms().items() if form not in NAMED.forms)
        folder = os.fspath(error.args[0])
        raise DataError(f"no labelled images found; got folder {folder!r}; give one of: {forms}") from None


def _hold_out(listing: Listing, share: float, seed: int) -> tuple[Listing, Listing]:
    """Split off a share of every class for validation: drawn by `seed` and class name, at least one image of each."""
    val = np.zeros(len(listing), dtype=bool)
    for label, name in enumerate(listing.classes):
        positions = np.flatnonzero(listing.labels == label)
        if len(positions) == 1:
            raise DataError(
                f"class {name!r} of {listing.name!r} is too small to hold a share out for validation; got 1 image; "
                "add images or give a val/ folder"
            )
        count = min(max(1, round(len(positions) * share)), len(positions) - 1)
        order = torch.randperm(len(positions), generator=stream(seed, "holdout", name)).numpy()
        val[positions[order[:count]]] = True
    return listing.take(~val, "train"), listing.take(val, "val")


def _num_bytes(listing: Listing, canvas: Canvas) -> int:
    return math.prod((len(listing), canvas.channels, canvas.side, canvas.side))


def _read(listing: Listing, canvas: Canvas, *, in_memory: bool) -> _Opened:
    """Decode or check the images of a split, and leave out those that cannot be read."""
    threads = threads_to_use()
    pixels = np.empty((len(listing) if in_memory else 0, canvas.channels, canvas.side, canvas.side), dtype=np.uint8)
    if in_memory:
        broken = decode_into(pixels, listing.store, listing.rows, canvas, threads=threads)
    else:
        broken = check_all(listing.store, listing.rows, threads=threads)
    kept = listing
    if broken:
        readable = np.ones(len(listing), dtype=bool)
        readable[[image.position for image in broken]] = False
        kept, pixels = listing.take(readable), pixels[readable] if in_memory else pixels
    images: Images = DecodedImages(torch.from_numpy(pixels)) if in_memory else LazyImages(kept, canvas)
    return _Opened(kept, images, {listing.image_name(image.position): image.reason for image in broken})


def _require_few_broken(opened: list[_Opened], allowed: int) -> None:
    broken = [image for split in opened for image in split.broken.items()]
    if len(broken) <= allowed:
        return
    listed = ", ".join(f"{name} ({reason})" for name, reason in broken[:5])
    more = f" and {len(broken) - 5} more" if len(broken) > 5 else ""
    total = sum(len(split.listing) for split in opened) + len(broken)
    raise DataError(
        f"{len(broken)} of {total} images of {opened[0].listing.name!r} cannot be read; got {listed}{more}; "
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
        broken=tuple(split.broken),
    )


def _fingerprint(listing: Listing, canvas: Canvas) -> str:
    """Hash the content of a set, regardless of its location, its name and its storage."""
    digest = hashlib.sha256()
    digest.update("\0".join((_FORMAT, str(canvas.side), str(canvas.channels), *listing.classes)).encode() + b"\0")
    digest.update(listing.labels.astype("<i8").tobytes())
    for part in listing.store.identity(listing.rows):
        digest.update(part)
    return digest.hexdigest()
