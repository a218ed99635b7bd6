"""Data sets called by name: scikit-learn's digits, and torchvision's.

They are stored in `$WMDD_DATA`, or `~/.cache/wmdd`, and downloaded if missing.
"""

import gzip
import lzma
import math
import os
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wmdd.data.sources.listing import ArrayStore, FileStore, Listing, Source, Splits, in_one_line
from wmdd.errors import DataError

DEBIAN_FASHION = Path("/usr/share/datasets/fashion-mnist")
"""Folder of Debian's package dataset-fashion-mnist."""
_DIGITS = "datasets/data/digits.csv.gz"
"""Where scikit-learn keeps them, in its package."""
_DIGITS_HOLDOUT = 0.2  # a tenth of 1,797 images would make a coarse test
_DAMAGED = (
    AssertionError,
    ValueError,
    LookupError,
    TypeError,
    ArithmeticError,
    AttributeError,
    MemoryError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
    pickle.UnpicklingError,
    tarfile.TarError,
    zipfile.BadZipFile,
)
"""What torchvision's readers raise for files that are there but damaged."""


@dataclass(frozen=True, slots=True)
class _Torchvision:
    about: str
    cls: str
    train: Mapping[str, Any] = field(default_factory=lambda: {"train": True})
    val: Mapping[str, Any] | None = field(default_factory=lambda: {"train": False})
    transposed: bool = False


def _splits(about: str, cls: str, train: str, val: str, **more: Any) -> _Torchvision:
    return _Torchvision(about, cls, train={"split": train, **more}, val={"split": val, **more})


TORCHVISION: dict[str, _Torchvision] = {
    "cifar10": _Torchvision("32x32 colour photographs, 50,000 + 10,000 images, 10 classes", "CIFAR10"),
    "cifar100": _Torchvision("32x32 colour photographs, 50,000 + 10,000 images, 100 classes", "CIFAR100"),
    "country211": _splits(
        "photographs by country, 31,650 + 10,550 images, 211 classes", "Country211", "train", "valid"
    ),
    "dtd": _splits("describable textures, 1,880 + 1,880 images, 47 classes", "DTD", "train", "val"),
    "emnist": _Torchvision(
        "28x28 grey letters and digits (balanced split), 112,800 + 18,800 images, 47 classes",
        "EMNIST",
        train={"split": "balanced", "train": True},
        val={"split": "balanced", "train": False},
        transposed=True,
    ),
    "eurosat": _Torchvision(
        "64x64 satellite images, 27,000 images, 10 classes; a share is held out", "EuroSAT", train={}, val=None
    ),
    "fashion-mnist": _Torchvision(
        "28x28 grey clothes, 60,000 + 10,000 images, 10 classes; Debian's package serves too", "FashionMNIST"
    ),
    "fgvc-aircraft": _splits(
        "photographs of aircraft, 3,334 + 3,333 images, 100 variants", "FGVCAircraft", "train", "val"
    ),
    "flowers102": _splits("photographs of flowers, 1,020 + 1,020 images, 102 classes", "Flowers102", "train", "val"),
    "food101": _splits("photographs of dishes, 75,750 + 25,250 images, 101 classes", "Food101", "train", "test"),
    "gtsrb": _splits("German traffic signs, 26,640 + 12,630 images, 43 classes", "GTSRB", "train", "test"),
    "imagenette": _splits(
        "ten easy ImageNet classes, short side 320, 9,469 + 3,925 images", "Imagenette", "train", "val", size="320px"
    ),
    "kmnist": _Torchvision("28x28 grey Kuzushiji characters, 60,000 + 10,000 images, 10 classes", "KMNIST"),
    "mnist": _Torchvision("28x28 grey digits, 60,000 + 10,000 images, 10 classes", "MNIST"),
    "oxford-pets": _splits(
        "photographs of cats and dogs, 3,680 + 3,669 images, 37 breeds", "OxfordIIITPet", "trainval", "test"
    ),
    "stl10": _splits("96x96 colour photographs, 5,000 + 8,000 images, 10 classes", "STL10", "train", "test"),
    "svhn": _splits("32x32 house numbers, 73,257 + 26,032 images, 10 classes", "SVHN", "train", "test"),
    "usps": _Torchvision("16x16 grey digits, 7,291 + 2,007 images, 10 classes", "USPS"),
}


def data_root() -> Path:
    """Return the folder of downloaded data: `$WMDD_DATA`, or `~/.cache/wmdd`."""
    return Path(os.environ.get("WMDD_DATA") or "~/.cache/wmdd").expanduser()


def list_named(name: str) -> Splits:
    """List the splits of a set of `NAMED.forms`.

    Raises:
        DataError: it is missing and cannot be downloaded.
    """
    if name == "digits":
        return Splits(train=_digits(), holdout=_DIGITS_HOLDOUT)
    if name == "fashion-mnist" and DEBIAN_FASHION.is_dir():
        return Splits(train=_debian_fashion("train", "train"), val=_debian_fashion("t10k", "val"))
    entry = TORCHVISION[name]
    return Splits(
        train=_torchvision(name, entry, "train", entry.train),
        val=None if entry.val is None else _torchvision(name, entry, "val", entry.val),
    )


def _arrays(name: str, split: str, classes: tuple[str, ...], pixels: NDArray[Any], labels: Any) -> Listing:
    values = np.asarray(labels)
    if len(pixels) != len(values) or not len(values) or values.min() < 0 or values.max() >= len(classes):
        raise DataError(
            f"images and labels of {name!r} do not fit together in {split}; got {len(pixels)} images and {len(values)} "
            f"labels of {len(classes)} classes; fetch it again"
        )
    store = ArrayStore(pixels=np.ascontiguousarray(pixels, dtype=np.uint8))
    return Listing.of(store, labels, name=name, split=split, classes=classes)


def _numbered(labels: Any) -> tuple[str, ...]:
    return tuple(str(label) for label in range(int(np.max(labels)) + 1))


def _digits() -> Listing:
    """Return scikit-learn's digits; their values 0 to 16 become 0 to 255.

    From its file, 64 pixels and the class in a row: to import scikit-learn takes as long as to import torch.
    """
    package = find_spec("sklearn")
    if package is None or package.origin is None:
        raise DataError("the digits are scikit-learn's; got none installed; run `pip install scikit-learn`")
    with gzip.open(Path(package.origin).parent / _DIGITS) as file:
        table = np.loadtxt(file, delimiter=",")
    pixels, labels = table[:, :-1].reshape(-1, 8, 8), table[:, -1].astype(np.int64)
    return _arrays("digits", "train", _numbered(labels), np.rint(pixels * (255 / 16)), labels)


def _debian_fashion(prefix: str, split: str) -> Listing:
    from torchvision.datasets import FashionMNIST  # noqa: PLC0415 - slow to import, needed by few

    pixels = _read_idx(DEBIAN_FASHION / f"{prefix}-images-idx3-ubyte.gz")
    labels = _read_idx(DEBIAN_FASHION / f"{prefix}-labels-idx1-ubyte.gz")
    return _arrays("fashion-mnist", split, tuple(FashionMNIST.classes), pixels, labels)


def _read_idx(path: Path) -> NDArray[np.uint8]:
    """Read a gzipped IDX file of bytes: two zeros, type 8, the number of dimensions, the dimensions, the values."""
    try:
        with gzip.open(path, "rb") as file:
            data = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"cannot read {os.fspath(path)!r}; got {type(error).__name__}; install dataset-fashion-mnist again"
        ) from None
    shape = tuple(int.from_bytes(data[4 * i + 4 : 4 * i + 8], "big") for i in range(data[3] if len(data) > 3 else 0))
    start = 4 + 4 * len(shape)
    if data[:3] != b"\0\0\x08" or len(data) != start + math.prod(shape):
        raise DataError(
            f"{os.fspath(path)!r} is not a whole IDX file; got {len(data)} bytes; install dataset-fashion-mnist again"
        )
    return np.frombuffer(data, dtype=np.uint8, offset=start).reshape(shape)


def _torchvision(name: str, entry: _Torchvision, split: str, options: Mapping[str, Any]) -> Listing:
    dataset = _construct(name, entry, options)
    if not hasattr(dataset, "data"):
        return _files(name, split, dataset)
    pixels = np.asarray(dataset.data)
    labels = dataset.targets if hasattr(dataset, "targets") else dataset.labels
    if pixels.ndim == 4 and pixels.shape[1] == 3 and pixels.shape[3] != 3:
        pixels = pixels.transpose(0, 2, 3, 1)
    if entry.transposed:
        pixels = pixels.swapaxes(1, 2)
    return _arrays(name, split, _class_names(dataset, labels), pixels, labels)


def _construct(name: str, entry: _Torchvision, options: Mapping[str, Any]) -> Any:
    """Return the torchvision data set, downloaded only if it is missing."""
    from torchvision import datasets  # noqa: PLC0415 - slow to import, needed by few

    build = getattr(datasets, entry.cls)
    root = data_root() / name
    try:
        root.mkdir(parents=True, exist_ok=True)
        try:
            return build(root=os.fspath(root), download=False, **options)
        except (RuntimeError, OSError):
            return build(root=os.fspath(root), download=True, **options)
    except _DAMAGED as error:
        raise DataError(
            f"files of {name!r} are damaged; got {in_one_line(error)}; remove {os.fspath(root)!r}, to fetch them again"
        ) from None
    except (RuntimeError, OSError, EOFError) as error:
        raise DataError(
            f"{name!r} is missing and cannot be downloaded; got {in_one_line(error)}; "
            f"put its files in {os.fspath(root)!r}"
        ) from None


def _files(name: str, split: str, dataset: Any) -> Listing:
    """List a torchvision data set whose images are files; few have a public attribute with their paths."""
    if pairs := getattr(dataset, "samples", None) or getattr(dataset, "_samples", None):
        paths, labels = zip(*pairs, strict=True)
    else:
        paths = getattr(dataset, "_image_files", None) or dataset._images  # noqa: SLF001 - see above
        labels = dataset._labels  # noqa: SLF001 - see above
    root = data_root() / name
    below = [Path(path).absolute().relative_to(root.absolute()).as_posix() for path in paths]
    store = FileStore.of(root, [(path, _size(root / path)) for path in below])
    return Listing.of(store, labels, name=name, split=split, classes=_class_names(dataset, labels))


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0  # a missing file is reported as broken when it is read


def _class_names(dataset: Any, labels: Any) -> tuple[str, ...]:
    names = getattr(dataset, "classes", None) or _numbered(labels)
    return tuple(name if isinstance(name, str) else name[0] for name in names)


def _name_of(data: str) -> str:
    return data.lower().replace("_", "-")


NAMED = Source(
    forms={
        "digits": "8x8 grey digits, 1,797 images, 10 classes; part of scikit-learn, needs no network",
        **{name: entry.about for name, entry in TORCHVISION.items()},
    },
    claims=lambda data: _name_of(data) in NAMED.forms,
    list_splits=lambda data, _: list_named(_name_of(data)),
)
"""A known name takes precedence over a folder of that name."""
