"""Images that are listed but not yet decoded: the product of every `Source`.

A `Listing` has the images of a split and their classes; its `Store` provides their encoded form. Nothing here opens an
image or needs torch.
"""

import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wmdd.errors import DataError
from wmdd.settings import DataSettings
from wmdd.warnings import RunWarning

Payload = str | bytes | NDArray[np.uint8] | None
"""One image before decoding: a path, the bytes of a file, pixels `(H, W)` or `(H, W, 3)`, or None if it is missing."""
Rows = NDArray[np.int64]
_HASH_BLOCK = 1024


class Store(Protocol):
    """Encoded images by row. Can be pickled, for worker processes."""

    def payloads(self, rows: Sequence[int] | Rows) -> Iterator[Payload]:
        """Yield the encoded image of each row, in the order of `rows`."""
        ...

    def row_name(self, row: int) -> str:
        """Return the name of the image in `row`, for messages."""
        ...

    def identity(self, rows: Rows) -> Iterator[bytes]:
        """Yield bytes that identify these images, wherever the store is."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FileStore:
    """One file per image; paths are one array of bytes, so that millions of them take little memory."""

    root: str
    paths: NDArray[np.bytes_]
    """`(n,)`: path of each image below `root`, separated by `/`."""
    sizes: NDArray[np.int64]
    """`(n,)`: bytes of each file."""

    @classmethod
    def of(cls, root: str | os.PathLike[str], files: Iterable[tuple[str, int]]) -> "FileStore":
        """Return the store of the `(relative path, size)` pairs."""
        pairs = list(files)
        paths = np.array([os.fsencode(path) for path, _ in pairs], dtype=np.bytes_)
        return cls(root=os.fspath(root), paths=paths, sizes=np.array([size for _, size in pairs], dtype=np.int64))

    def payloads(self, rows: Sequence[int] | Rows) -> Iterator[Payload]:
        """Yield the path of each row."""
        for row in rows:
            yield os.path.join(self.root, os.fsdecode(bytes(self.paths[int(row)])))

    def row_name(self, row: int) -> str:
        """Return the path below the root."""
        return printable(os.fsdecode(bytes(self.paths[row])))

    def identity(self, rows: Rows) -> Iterator[bytes]:
        """Yield relative paths and sizes."""
        for start in range(0, len(rows), _HASH_BLOCK):
            block = rows[start : start + _HASH_BLOCK]
            yield b"\0".join(bytes(path) for path in self.paths[block]) + b"\0"
            yield self.sizes[block].astype("<i8").tobytes()


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayStore:
    """Images in one array of pixels."""

    pixels: NDArray[np.uint8]
    """`(n, H, W)` or `(n, H, W, 3)`."""

    def payloads(self, rows: Sequence[int] | Rows) -> Iterator[Payload]:
        """Yield the pixels of each row."""
        for row in rows:
            yield self.pixels[int(row)]

    def row_name(self, row: int) -> str:
        """Return the number of the image."""
        return f"image {row}"

    def identity(self, rows: Rows) -> Iterator[bytes]:
        """Yield the shape and all pixels."""
        yield repr(self.pixels.shape[1:]).encode()
        for start in range(0, len(rows), _HASH_BLOCK):
            yield self.pixels[rows[start : start + _HASH_BLOCK]].tobytes()


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The images of one split, in order, with their labels."""

    name: str
    split: str
    classes: tuple[str, ...]
    labels: Rows
    """int64 `(N,)`."""
    rows: Rows
    """int64 `(N,)`: row of each image in `store`."""
    store: Store

    @classmethod
    def of(cls, store: Store, labels: Any, *, name: str, split: str, classes: tuple[str, ...]) -> "Listing":
        """Return the listing of all rows of a store, in order."""
        values = np.asarray(labels, dtype=np.int64)
        return cls(name=name, split=split, classes=classes, labels=values, rows=np.arange(len(values)), store=store)

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, positions: Any, split: str | None = None) -> "Listing":
        """Return the listing of the images at `positions` (indices or a mask), under another split's name if given."""
        return replace(self, labels=self.labels[positions], rows=self.rows[positions], split=split or self.split)

    def image_name(self, position: int) -> str:
        """Return the name of an image, for messages."""
        return self.store.row_name(int(self.rows[position]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits:
    """The splits of a source."""

    train: Listing
    val: Listing | None = None
    """None = there are no validation images, so a share of the training images is held out."""
    holdout: float | None = None
    """That share; None = `data.holdout`."""
    warnings: tuple[RunWarning, ...] = ()
    """What was seen while listing; `opening` hands it on with the training images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One kind of data. A file of this folder makes one; `table.SOURCES` has them all."""

    forms: Mapping[str, str]
    """Accepted forms of `DATA` on the command line, with a line about each."""
    claims: Callable[[str], bool]
    """Whether a `DATA` is of this kind."""
    list_splits: Callable[[str, DataSettings], Splits]
    """Lists the images of a `DATA` of this kind."""
    has_columns: bool = False
    """Whether `data.image_column` and `data.label_column` mean anything for it."""


class NoLabelledImagesError(Exception):
    """A folder has no images with known classes; its path is the only argument."""


def is_visible(name: str) -> bool:
    """Tell whether a file or folder counts: hidden ones do not, nor those that macOS adds to archives."""
    return not name.startswith(".") and name != "__MACOSX"


def printable(name: str) -> str:
    """Return the name of a file for messages: what cannot be printed (or is no UTF-8) becomes an escape sequence."""
    if name.isprintable():
        return name
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in name)


def normal(name: str) -> str:
    """Return the name of a class in Unicode's composed form (NFC): systems write the same name in different ways."""
    return unicodedata.normalize("NFC", name)


def in_one_line(error: Exception) -> str:
    """Return another library's message in at most 200 characters, or the error's type if it has none."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def require_any(listing: Listing) -> None:
    """Raise `DataError` if the split is empty."""
    if not len(listing):
        raise DataError(f"the {listing.split} split of {listing.name!r} is empty; got 0 images; add some")


def require_classes(listing: Listing) -> None:
    """Raise `DataError` if the split is empty, has a single class, or has a class without images."""
    require_any(listing)
    if len(listing.classes) < 2:
        raise DataError(
            f"{listing.name!r} has a single class; got {', '.join(listing.classes)!r} only; "
            "give the folder whose folders are the classes"
        )
    counts = np.bincount(listing.labels, minlength=len(listing.classes))
    empty = [listing.classes[label] for label in np.flatnonzero(counts == 0)]
    if empty:
        more = f" and {len(empty) - 1} more" if len(empty) > 1 else ""
        raise DataError(
            f"class {empty[0]!r}{more} of {listing.name!r} has no images in {listing.split}; got 0 of {len(listing)}; "
            "add images or remove the class"
        )


def positions_of(names: Iterable[str], classes: tuple[str, ...], source: str) -> Rows:
    """Return the labels of validation classes `names`, int64 `(n,)`; Unicode's forms of a name are equal.

    Raises:
        DataError: a name is not among the `classes` of the training split.
    """
    found = list(names)
    table = {normal(name): label for label, name in enumerate(classes)}
    missing = next((name for name in found if normal(name) not in table), None)
    if missing is not None:
        raise DataError(
            f"a class in the validation images of {source!r} is missing from the training images; "
            f"got {missing!r}; add it to both or remove it"
        )
    return np.array([table[normal(name)] for name in found], dtype=np.int64)
