"""Folders of image files: the class of an image is its folder.

Classes are sorted by name (torchvision's `ImageFolder` rule), files by path; hidden files and folders are skipped.
Class folders may have subfolders, like Tiny-ImageNet's.
"""

import os
from itertools import chain
from pathlib import Path

import numpy as np

from wmdd.data.sources.annotations import flat_classes
from wmdd.data.sources.listing import (
    SUFFIXES,
    FileStore,
    Listing,
    NoLabelledImagesError,
    Source,
    Splits,
    image_files,
    is_visible,
    positions_of,
)
from wmdd.data.sources.parquet_folders import holds_parquet
from wmdd.errors import DataError

_VAL_FOLDERS = ("val", "valid", "validation", "test")
_KAGGLE = Path("ILSVRC/Data/CLS-LOC")


def list_folder(root: Path) -> Splits:
    """List the training and, where there is one, the validation split of a folder.

    Raises:
        DataError: a class is empty, or `val` has a class that `train` lacks.
        NoLabelledImagesError: the layout is not among those accepted.
    """
    name = root.resolve().name
    images = root / _KAGGLE if (root / _KAGGLE).is_dir() else root
    if not (images / "train").is_dir():
        return Splits(train=_list_classes(images, images, name))
    train = _list_classes(images, images / "train", name)
    val = next((images / folder for folder in _VAL_FOLDERS if (images / folder).is_dir()), None)
    if val is None:
        return Splits(train=train)
    files = list(image_files(images, val))
    if not files:
        raise NoLabelledImagesError(val)
    if _class_folders(val) and not (val / "val_annotations.txt").exists():
        return Splits(train=train, val=_list_classes(images, val, name, train.classes))
    classes = flat_classes([path for path, _ in files], val, [root, images])
    labels = positions_of(classes, train.classes, name)
    store = FileStore.of(images, files)
    return Splits(train=train, val=Listing.of(store, labels, name=name, split="val", classes=train.classes))


def _list_classes(root: Path, folder: Path, name: str, known: tuple[str, ...] | None = None) -> Listing:
    """List the class folders of `folder`; those of a validation split are labelled by the `known` classes."""
    folders = tuple(_class_folders(folder))
    classes = known or folders
    labels = positions_of(folders, classes, name)
    files = [list(image_files(root, folder / label)) for label in folders]
    if not any(files):
        raise NoLabelledImagesError(folder)
    if [] in files:
        raise DataError(
            f"class folder {folders[files.index([])]!r} of {os.fspath(folder)!r} has no images; got 0 files that end "
            f"in {', '.join(sorted(SUFFIXES))}; add images or remove the folder"
        )
    store = FileStore.of(root, chain.from_iterable(files))
    split = "val" if known else "train"
    return Listing.of(store, np.repeat(labels, [*map(len, files)]), name=name, split=split, classes=classes)


def _class_folders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and is_visible(entry.name))


def _is_image_folder(data: str) -> bool:
    path = Path(data).expanduser()
    return path.is_dir() and not holds_parquet(path)


FOLDERS = Source(
    forms={
        "FOLDER with train/ and val/ or test/": "one folder a class in each",
        "FOLDER of class folders": "a stratified share is held out (data.holdout, data.holdout_seed)",
        "FOLDER of Tiny-ImageNet": "train/<wnid>/images/ and val/val_annotations.txt, as unpacked",
        "FOLDER of ImageNet": "train/<wnid>/, val/ flat or in class folders; flat needs LOC_val_solution.csv, or the "
        "devkit's ILSVRC2012_validation_ground_truth.txt and meta.mat",
    },
    claims=_is_image_folder,
    list_splits=lambda data, _: list_folder(Path(data).expanduser()),
)
