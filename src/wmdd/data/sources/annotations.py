"""Classes of validation images in one flat folder, from Tiny-ImageNet's and ImageNet's lists."""

import csv
import os
import struct
import zlib
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path

from wmdd.data.sources.listing import in_one_line
from wmdd.errors import DataError

ANNOTATIONS = "val_annotations.txt"
_GROUND_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
_SOLUTION = "LOC_val_solution.csv"
_DEVKIT = Path("ILSVRC2012_devkit_t12/data")
_DAMAGED = (
    csv.Error,
    OSError,
    ValueError,  # UnicodeDecodeError among them
    LookupError,
    TypeError,
    NotImplementedError,
    OverflowError,
    MemoryError,
    struct.error,
    zlib.error,
)
"""What the csv module and SciPy raise for files that they cannot read."""


def flat_classes(files: Sequence[str], folder: Path, roots: Sequence[Path]) -> list[str]:
    """Return the class name of each file, from the list in `folder` or in one of `roots`; nothing without a list.

    A list in `roots` that has none of the files is another folder's.

    Raises:
        DataError: a list is damaged, or it lacks a file.
    """
    table = _read_list(folder, [folder, *roots])
    stems = [Path(file).stem for file in files]
    own = (folder / ANNOTATIONS).is_file()
    if table is None or not (own or any(stem in table for stem in stems)):
        return []
    missing = next((stem for stem in stems if stem not in table), None)
    if missing is not None:
        raise DataError(f"a validation image has no class in the list beside it; got {missing!r}; complete the list")
    return [table[stem] for stem in stems]


def _read_list(folder: Path, places: Sequence[Path]) -> dict[str, str] | None:
    if (folder / ANNOTATIONS).is_file():
        path = folder / ANNOTATIONS
        return _table(path, ((Path(row[0]).stem, row[1]) for row in _rows(path, "\t")))
    if solution := _find(_SOLUTION, places):
        rows = (row for row in _rows(solution, ",") if row[0] != "ImageId")
        return _table(solution, ((row[0], row[1].split()[0]) for row in rows))
    if truth := _find(_GROUND_TRUTH, places):
        return _numbered(truth, places)
    return None


def _table(path: Path, pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the class of each image, of which a list must not give two."""
    table: dict[str, str] = {}
    for image, name in pairs:
        if table.setdefault(image, name) != name:
            raise DataError(
                f"{path.name} gives two classes to {image!r}; got {table[image]!r} and {name!r}; correct the list"
            )
    return table


def _numbered(truth: Path, places: Sequence[Path]) -> dict[str, str]:
    with _reading(truth):
        numbers = [int(line) for line in truth.read_text(encoding="utf-8-sig").split()]
    names = _devkit_names(places)
    unknown = next((number for number in numbers if number not in names), None)
    if unknown is not None:
        raise DataError(f"{truth.name} has a class that meta.mat lacks; got {unknown}; take both files from one devkit")
    return {f"ILSVRC2012_val_{place:08d}": names[number] for place, number in enumerate(numbers, 1)}


def _rows(path: Path, delimiter: str) -> list[list[str]]:
    with _reading(path), path.open(newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.reader(file, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL) if row]
    if any(len(row) < 2 or not row[1].strip() for row in rows):
        raise DataError(f"a line of {path.name} has no class; got {os.fspath(path)!r}; complete the list")
    return rows


@contextmanager
def _reading(path: Path) -> Generator[None]:
    try:
        yield
    except _DAMAGED as error:
        raise DataError(
            f"a list of classes cannot be read; got {os.fspath(path)!r} ({in_one_line(error)}); fetch it again"
        ) from None


def _find(name: str, places: Sequence[Path]) -> Path | None:
    paths = (place / below / name for place in places for below in (Path(), _DEVKIT))
    return next((path for path in paths if path.is_file()), None)


def _devkit_names(places: Sequence[Path]) -> dict[int, str]:
    """Return WordNet ids by ILSVRC2012 id (which is not in their order), from the devkit's `meta.mat`."""
    path = _find("meta.mat", places)
    if path is None:
        raise DataError(
            f"{_GROUND_TRUTH} numbers classes by the devkit's meta.mat, which is missing; got only the former; "
            f"put meta.mat beside it, or use {_SOLUTION}"
        )
    from scipy.io import loadmat, matlab  # noqa: PLC0415 - only needed here, and slow to import

    with _reading(path):
        try:
            synsets = loadmat(os.fspath(path), squeeze_me=True)["synsets"]
        except matlab.MatReadError as error:
            raise ValueError(error) from None
        return {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in synsets if int(row["num_children"]) == 0}
