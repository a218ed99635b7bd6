"""Classes of validation images in one flat folder, from Tiny-ImageNet's and ImageNet's lists."""

import csv
import os
from collections.abc import Sequence
from pathlib import Path

from wmdd.errors import DataError

_GROUND_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
_SOLUTION = "LOC_val_solution.csv"
_DEVKIT = Path("ILSVRC2012_devkit_t12/data")


def flat_classes(files: Sequence[str], folder: Path, roots: Sequence[Path]) -> list[str]:
    """Return the class name of each file, from the list in `folder` or in one of `roots`.

    Raises:
        DataError: there is no list, or it lacks a file.
    """
    table = _read_list(folder, [folder, *roots])
    stems = [Path(file).stem for file in files]
    missing = next((stem for stem in stems if stem not in table), None)
    if missing is not None:
        raise DataError(f"a validation image has no class in the list beside it; got {missing!r}; complete the list")
    return [table[stem] for stem in stems]


def _read_list(folder: Path, places: Sequence[Path]) -> dict[str, str]:
    if (folder / "val_annotations.txt").is_file():
        rows = _rows(folder / "val_annotations.txt", "\t")
        return {Path(row[0]).stem: row[1] for row in rows}
    if solution := _find(_SOLUTION, places):
        return {row[0]: row[1].split()[0] for row in _rows(solution, ",") if row[0] != "ImageId"}
    if truth := _find(_GROUND_TRUTH, places):
        numbers = [int(line) for line in truth.read_text(encoding="utf-8").split()]
        names = _devkit_names(places)
        return {f"ILSVRC2012_val_{place:08d}": names[number] for place, number in enumerate(numbers, 1)}
    raise DataError(
        f"images in {os.fspath(folder)!r} lie flat and no list gives their classes; got no val_annotations.txt, "
        f"{_SOLUTION} or {_GROUND_TRUTH}; put one beside them or sort the images into class folders"
    )


def _rows(path: Path, delimiter: str) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.reader(file, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL) if row]
    if any(len(row) < 2 or not row[1].strip() for row in rows):
        raise DataError(f"a line of {path.name} has no class; got {os.fspath(path)!r}; complete the list")
    return rows


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
    from scipy.io import loadmat  # noqa: PLC0415 - only needed here, and slow to import

    synsets = loadmat(os.fspath(path), squeeze_me=True)["synsets"]
    return {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in synsets if int(row["num_children"]) == 0}
