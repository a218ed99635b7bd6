"""Which folders hold the training and which the validation images, by names and by what is in them.

Folders whose names have a split word (`splits`) are splits if class folders lie in them: at least two in one of them,
or one where all folders beside it are named like splits as well. A class may thus be called `train`.
"""

import os
from pathlib import Path
from typing import NamedTuple

from wmdd.data.sources.listing import normal
from wmdd.data.sources.notes import Notes, first_names
from wmdd.data.sources.splits import list_words, names_a_split, split_of
from wmdd.data.sources.walking import holds_images, subfolders
from wmdd.errors import DataError


class Layout(NamedTuple):
    """The folders of the splits."""

    train: Path
    """Its folders are the classes."""
    held: tuple[Path, ...]
    """Candidates for validation, the better first."""


def find_layout(root: Path, notes: Notes) -> Layout:
    """Tell which folders of `root` are splits; if none is, its folders are the classes.

    Raises:
        DataError: a folder beside splits has images and is none, two are the same split, or none is for training.
    """
    folders = subfolders(root, notes)
    words = {name: split for name in folders if (split := split_of(name))}
    if not words:
        return Layout(root, ())
    holding = [name for name in folders if holds_images(root / name)]
    strangers = [name for name in holding if name not in words]
    if not _are_splits(root, words, holding, has_strangers=bool(strangers)):
        _note_doubtful([name for name in holding if names_a_split(name)], notes)
        return Layout(root, ())
    if strangers:
        raise DataError(
            f"a folder beside the splits of {os.fspath(root)!r} has images, but its name is no split's; "
            f"got {first_names(strangers)}; rename it by one of these words or move it elsewhere ({list_words()})"
        )
    return _choose(root, words, holding)


def _are_splits(root: Path, words: dict[str, str], holding: list[str], *, has_strangers: bool) -> bool:
    plain = [name for name in words if names_a_split(name)]
    if not has_strangers:
        return bool(plain) or len({words[name] for name in holding}) > 1
    classes = {name: len(class_names(root / name)) for name in plain}
    return max(classes.values(), default=0) > 1 or len({words[name] for name, count in classes.items() if count}) > 1


def class_names(folder: Path) -> list[str]:
    """Return the names of the folders in `folder` that have images."""
    return [name for name in subfolders(folder, Notes(root=os.fspath(folder))) if holds_images(folder / name)]


def _note_doubtful(names: list[str], notes: Notes) -> None:
    if names:
        notes.tell(
            "classes named as splits",
            f"{first_names(names)} counts as a class, because no class folders lie in it; "
            "if it is a split, sort its images into class folders, and those beside it into train/",
            len(names),
        )


def _choose(root: Path, words: dict[str, str], holding: list[str]) -> Layout:
    named: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for name, split in words.items():
        if name in holding:
            named[split].append(name)
    for split, names in named.items():
        if len(names) > 1:
            raise DataError(
                f"{os.fspath(root)!r} has several folders for {split}; got {first_names(names)}; "
                "put their images into one, or move the others elsewhere"
            )
        names += [name for name in words if words[name] == split and names_a_split(name)][: 1 - len(names)]
    if not named["train"]:
        raise DataError(
            f"no folder of {os.fspath(root)!r} is for training; got {first_names(words)}; name one train, "
            "or give a folder of class folders"
        )
    return Layout(root / named["train"][0], tuple(root / name for name in (*named["val"], *named["test"])))


def require_no_shared_subfolders(folder: Path, classes: list[str]) -> None:
    """Raise `DataError` if all classes have several sub-folders in common: then these are rather the classes.

    Folds, domains, images beside masks: `fold_a/cat`, `fold_a/dog`, `fold_b/cat`, ... One sub-folder that all classes
    have, like Tiny-ImageNet's `images`, is fine.
    """
    shared: set[str] | None = None
    for name in classes:
        below = {normal(each) for each in class_names(folder / name)}
        shared = below if shared is None else shared & below
        if len(shared) < 2:
            return
    if shared and len(classes) > 1:
        raise DataError(
            f"the folders of {os.fspath(folder)!r} all have the same sub-folders, so they do not look like classes; "
            f"got {first_names(sorted(shared))} in each of {first_names(classes)}; give one of these folders, rename "
            f"them by split words ({list_words()}), or put the images directly into class folders"
        )
