"""The Parquet files of a folder: which are one data set, and of which split each is."""

import os
from collections.abc import Sequence
from pathlib import Path

from wmdd.data.sources.listing import is_visible
from wmdd.data.sources.parquet_reading import reading, shown
from wmdd.data.sources.splits import list_words, names_a_split, split_of
from wmdd.data.sources.walking import image_files
from wmdd.errors import DataError
from wmdd.warnings import RunWarning


def parquet_sets(root: Path) -> dict[str, list[str]]:
    """Return the Parquet files of a folder, relative to it, by the subfolder of each set; `""` if they are one set.

    They are its own and those of its splits' folders, else those of `data/`, or of the only folder that has any.
    """
    folders = [entry for entry in sorted(root.glob("*")) if is_visible(entry.name) and entry.is_dir()]
    of_splits = (file for folder in folders if names_a_split(folder.name) for file in _visible(root, folder, "**/"))
    if own := [*_visible(root, root), *of_splits]:
        return {"": own}
    if _visible(root, root / "data"):
        return {"": [f"data/{file}" for files in parquet_sets(root / "data").values() for file in files]}
    sets = {folder.name: files for folder in folders if (files := _visible(root, folder, "**/"))}
    if len(sets) > 1 and all(
        split_of(top) and not split_of(file.partition("/")[2]) for top in sets for file in sets[top]
    ):
        return {"": [file for files in sets.values() for file in files]}
    if len(sets) != 1:
        return sets or {"": []}
    (top,) = sets
    return {
        f"{top}/{name}" if name else "": [f"{top}/{file}" for file in files]
        for name, files in parquet_sets(root / top).items()
    }


def _visible(root: Path, folder: Path, below: str = "") -> list[str]:
    paths = (path.relative_to(root) for path in folder.glob(f"{below}*.parquet") if path.is_file())
    return sorted(path.as_posix() for path in paths if all(is_visible(part) for part in path.parts))


def parquet_files(root: Path) -> list[str]:
    """Return the files of the only set of a folder.

    Raises:
        DataError: there are several sets.
    """
    sets = parquet_sets(root)
    if len(sets) > 1:
        raise DataError(
            f"{os.fspath(root)!r} holds several sets of Parquet files; got {shown(*sets)}; give one of these folders"
        )
    return next(iter(sets.values()))


def holds_parquet(folder: Path) -> bool:
    """Tell whether a folder is a data set of Parquet files: with some at its top, or with some and no image files."""
    own = any(folder.glob("*.parquet")) or any(folder.glob("data/*.parquet"))
    return own or (next(image_files(folder, folder), None) is None and any(parquet_sets(folder).values()))


def by_split(files: Sequence[str]) -> dict[str, list[str]]:
    """Assign files to splits by their names, else their folders'; all to train if none has a split's word.

    Raises:
        DataError: only some have one, or none is of training images.
    """
    splits: dict[str, list[str]] = {}
    unnamed: list[str] = []
    for file in files:
        split = split_of(file)
        (unnamed if split is None else splits.setdefault(split, [])).append(file)
    if not splits:
        return {"train": unnamed}
    if unnamed:
        raise DataError(
            f"some Parquet files name their split and others do not; got {shown(*unnamed[:5])} beside "
            f"{shown(next(iter(splits.values()))[0])}; move them away or rename them with one of: {list_words()}"
        )
    if "train" not in splits:
        raise DataError(f"no Parquet file of training images; got {shown(*files[:5])}; name one train-*.parquet")
    return splits


def each_once(
    root: Path, splits: dict[str, list[str]], name: str
) -> "tuple[dict[str, list[str]], tuple[RunWarning, ...]]":
    """Leave out further links to a file within its split, with a warning.

    Raises:
        DataError: a file is both of training and of another split, or cannot be read.
    """
    kept: dict[str, dict[tuple[int, int], str]] = {split: {} for split in splits}
    twice: list[str] = []
    for split, files in splits.items():
        for file in files:
            with reading(file):
                status = (root / file).stat()
            if kept[split].setdefault((status.st_dev, status.st_ino), file) != file:
                twice.append(file)
    shared = [(split, key) for split in splits if split != "train" for key in kept[split] if key in kept["train"]]
    if shared:
        split, key = shared[0]
        raise DataError(
            f"{kept['train'][key]!r} and {kept[split][key]!r} of {name!r} are one file; got a link; "
            "give other images for validation, or remove the link to hold a share out"
        )
    text = f"{len(twice)} links to Parquet files that are listed anyway ({shown(*twice[:3])}), left out; remove them"
    told = (RunWarning(kind="repeated files", text=text, count=len(twice)),) if twice else ()
    return {split: list(files.values()) for split, files in kept.items()}, told
