"""Identical pictures: files with equal bytes, or arrays with equal pixels.

A hold-out must not separate them, since a network would be tested on what it was trained on.
"""

import hashlib
import os
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from wmdd.data.sources.decoding import each_image, threads_to_use
from wmdd.data.sources.listing import ArrayStore, FileStore, Listing, Payload, Rows
from wmdd.warnings import RunWarning

_PART = 4096
_SAMPLED = 64
_SHOWN = 3


def group_identical(*listings: Listing) -> list[Rows]:
    """Return a number for every image of each listing, int64 `(N,)`: equal for identical pictures, of any listing.

    Only files of one size are read; of these 4 KiB from the middle first, and all of it if these are equal too.
    Pictures that are missing, empty or unreadable equal no other.
    """
    ends = np.cumsum([len(listing) for listing in listings])[:-1]
    groups = np.unique(np.concatenate([_first_marks(listing) for listing in listings]), return_inverse=True)[1]
    for read in (_middle, _whole):
        repeated = np.bincount(groups)[groups] > 1
        marks = np.arange(len(groups), dtype=np.uint64)
        for listing, chosen, out in zip(listings, np.split(repeated, ends), np.split(marks, ends), strict=True):
            _digest(listing, np.flatnonzero(chosen), read, out)
        pairs = np.stack([groups[repeated].astype(np.uint64), marks[repeated]], axis=1)
        refined = np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1)
        groups[repeated] = len(groups) + refined
        groups = np.unique(groups, return_inverse=True)[1]
    return np.split(groups, ends)


def _first_marks(listing: Listing) -> NDArray[np.uint64]:
    """Return numbers `(N,)` that are equal for identical pictures, and cost next to nothing."""
    match listing.store:
        case FileStore(sizes=sizes):
            return sizes[listing.rows].astype(np.uint64)
        case ArrayStore(pixels=pixels):
            flat = pixels.reshape(len(pixels), -1)
            columns = np.linspace(0, flat.shape[1] - 1, _SAMPLED).astype(np.int64)
            words = np.ascontiguousarray(flat[:, columns]).view(np.uint64)
            odd = np.random.default_rng(0).integers(0, 2**63, words.shape[1], dtype=np.uint64) * 2 + 1
            return (words * odd).sum(axis=1, dtype=np.uint64)[listing.rows]
        case _:
            return np.zeros(len(listing), dtype=np.uint64)


def _digest(listing: Listing, positions: Rows, read: Callable[[Payload], bytes], out: NDArray[np.uint64]) -> None:
    """Put a hash of what `read` returns of each picture into `out`; nothing if it returns nothing or fails."""

    def put(position: int, payload: Payload) -> None:
        if data := read(payload):
            out[positions[position]] = int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")

    each_image(listing.store, listing.rows[positions], put, threads=threads_to_use())


def _middle(payload: Payload) -> bytes:
    """Return up to 4 KiB from the middle of a picture."""
    if not isinstance(payload, str):
        data = _whole(payload)
        start = max(0, len(data) - _PART) // 2
        return data[start : start + _PART]
    with open(payload, "rb", buffering=0) as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _PART) // 2)
        return file.read(_PART)


def _whole(payload: Payload) -> bytes:
    """Return a picture's bytes, those of its pixels if it is an array, none if it is missing."""
    if payload is None or isinstance(payload, bytes):
        return payload or b""
    if isinstance(payload, np.ndarray):
        return payload.tobytes()
    with open(payload, "rb") as file:
        return file.read()


def tell_shared(train: Listing, val: Listing, groups: Sequence[Rows]) -> list[RunWarning]:
    """Say which validation images are among the training images too; `groups` has those of both."""
    shared = np.flatnonzero(np.isin(groups[1], groups[0]))
    if not len(shared):
        return []
    first = dict(zip(groups[0][::-1].tolist(), range(len(train) - 1, -1, -1), strict=True))
    shown = [
        f"{val.image_name(int(position))} = {train.image_name(first[int(groups[1][position])])}"
        for position in shared[:_SHOWN]
    ]
    text = (
        f"{len(shared)} of {len(val)} validation images of {val.name!r} are training images too; "
        f"got {_list(shown, len(shared))}; remove them from one of the two, or accuracies are too high"
    )
    return [RunWarning(kind="duplicates", text=text, count=len(shared))]


def tell_two_labels(listings: Sequence[Listing], groups: Sequence[Rows]) -> list[RunWarning]:
    """Say which pictures are in more than one class, in one listing or over all; `groups` has those of each."""
    joined, labels = np.concatenate(groups), np.concatenate([listing.labels for listing in listings])
    pairs = np.unique(np.stack([joined, labels], axis=1), axis=0)
    found, counts = np.unique(pairs[:, 0], return_counts=True)
    several = found[counts > 1]
    if not len(several):
        return []
    starts = np.cumsum([0, *map(len, listings)])

    def name_of(position: int) -> str:
        at = int(np.searchsorted(starts, position, "right")) - 1
        return f"{listings[at].image_name(position - int(starts[at]))} ({listings[at].classes[labels[position]]})"

    shown: list[str] = []
    for group in several[:_SHOWN]:
        members = np.flatnonzero(joined == group)
        other = members[np.argmax(labels[members] != labels[members[0]])]
        shown.append(f"{name_of(int(members[0]))} = {name_of(int(other))}")
    text = (
        f"{len(several)} pictures of {listings[0].name!r} are in more than one class; "
        f"got {_list(shown, len(several))}; keep each in one class"
    )
    return [RunWarning(kind="two labels", text=text, count=len(several))]


def _list(shown: list[str], total: int) -> str:
    return ", ".join(shown) + (f" and {total - len(shown)} more" if total > len(shown) else "")
