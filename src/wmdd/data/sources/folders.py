"""Folders of image files: the class of an image is its folder.

Classes are sorted by name (torchvision's `ImageFolder` rule), files by path; hidden files and folders are skipped.
Class folders may have subfolders, like Tiny-ImageNet's. Names of classes are in Unicode's composed form (NFC). Each
file counts once (`walking`); what is left out is told (`notes`).
"""

import os
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from wmdd.data.sources.annotations import ANNOTATIONS, flat_classes
from wmdd.data.sources.layouts import class_names, find_layout, require_no_shared_subfolders
from wmdd.data.sources.listing import (
    FileStore,
    Listing,
    NoLabelledImagesError,
    Source,
    Splits,
    normal,
    positions_of,
    printable,
)
from wmdd.data.sources.notes import Notes
from wmdd.data.sources.parquet_folders import holds_parquet
from wmdd.data.sources.walking import Found, Walk, image_names, subfolders
from wmdd.errors import DataError

_KAGGLE = Path("ILSVRC/Data/CLS-LOC")


class _Labelled(NamedTuple):
    """The images of a split."""

    files: list[Found]
    classes: list[str]
    """Name of the class of each file, as found."""


def list_folder(given: Path) -> Splits:
    """List the training and, where there is one, the validation split of a folder.

    Raises:
        DataError: a class is empty, `val` has a class that `train` lacks, or names contradict each other.
        NoLabelledImagesError: the layout is not among those accepted.
    """
    kaggle = given / _KAGGLE
    return _Reader(given, kaggle if kaggle.is_dir() else given).splits()


class _Reader:
    """Reads the splits of one folder."""

    def __init__(self, given: Path, root: Path) -> None:
        """Take the folder that the user gave, and the one in it that has the images."""
        self._given, self._root, self._name = given, root, given.resolve().name
        self._notes = Notes(root=os.fspath(root))
        self._layout = find_layout(root, self._notes)
        self._folders = self._class_folders(self._layout.train)
        tops = [self._layout.train, *self._layout.held]
        classes = [top / name for top in tops for name in subfolders(top, self._notes)]
        self._walk = Walk(self._notes, [*tops, *classes])

    def splits(self) -> Splits:
        """Return the splits. Validation images are read first, because none of them may be trained on."""
        require_no_shared_subfolders(self._layout.train, [*self._folders.values()])
        held = self._first_labelled()
        train = self._training(held or _Labelled([], []))
        classes = tuple(self._folders)
        return Splits(
            train=self._listing(train, classes, "train"),
            val=self._listing(held, classes, "val") if held else None,
            warnings=self._notes.warnings(),
        )

    def _training(self, held: _Labelled) -> _Labelled:
        """Return the training images, without those that are held out."""
        found = self._walk_classes(self._layout.train, self._folders)
        held_out = {file.identity for file in held.files}
        for file in found.files:
            if file.identity in held_out:
                self._notes.held_out[file.path] = None
        pairs = [pair for pair in zip(*found, strict=True) if pair[0].identity not in held_out]
        train = _Labelled([file for file, _ in pairs], [name for _, name in pairs])
        if lost := sorted({*self._folders.values()} - {*train.classes}):
            raise DataError(
                "all training images of a class are validation images too, by links; "
                f"got {os.fspath(self._layout.train / lost[0])!r}; give it images of its own"
            )
        return train

    def _first_labelled(self) -> _Labelled | None:
        """Return the validation images of the first candidate whose classes are known, and tell of those before."""
        unlabelled: dict[Path, int] = {}
        labelled = None
        for folder in self._layout.held:
            files, classes = self._validation(folder)
            if classes:
                labelled = _Labelled(files, classes)
                break
            unlabelled[folder] = len(files)
        for folder, count in unlabelled.items():
            self._notes.tell(
                "images without class",
                f"{count} images in {printable(self._notes.below(folder))} lie flat and no list gives their classes; "
                + ("others are" if labelled else "a share of the training images (data.holdout) is")
                + " used instead; sort them into class folders if you know their classes",
                count,
            )
        return labelled

    def _validation(self, folder: Path) -> _Labelled:
        """Return the images of a validation split, without classes if these are not known."""
        inner = class_names(folder)
        is_flat = not inner or (len(inner) == 1 and normal(inner[0]) not in self._folders)
        if not is_flat and not (folder / ANNOTATIONS).exists():
            return self._walk_classes(folder, self._class_folders(folder))
        files = list(self._walk.images(folder))
        if not files:
            raise NoLabelledImagesError(folder)
        return _Labelled(files, flat_classes([file.path for file in files], folder, [self._given, self._root]))

    def _class_folders(self, folder: Path) -> dict[str, str]:
        """Return the folders in `folder` by class, which is the name in NFC; sorted."""
        found: dict[str, str] = {}
        targets: dict[str, str] = {}
        for name in subfolders(folder, self._notes):
            if not _is_text(name):
                raise DataError(f"the name of a class folder is not UTF-8; got {ascii(name)}; rename it")
            other = found.setdefault(normal(name), name)
            same = targets.setdefault(os.path.realpath(folder / name), name)
            if name not in {other} & {same}:
                what = "one name in two forms of Unicode" if other != name else "one content, by a link"
                both = f"{ascii(other if other != name else same)} and {ascii(name)}"
                raise DataError(
                    f"two class folders of {os.fspath(folder)!r} have {what}; got {both}; make them one folder"
                )
        return dict(sorted(found.items()))

    def _walk_classes(self, folder: Path, folders: dict[str, str]) -> _Labelled:
        """Return the images in the class folders of `folder`, by class."""
        found = {name: list(self._walk.images(folder / name)) for name in folders.values()}
        if not any(found.values()):
            raise NoLabelledImagesError(folder)
        if empty := next((name for name, files in found.items() if not files), None):
            below = self._notes.below(folder / empty)
            skipped = sum(path.startswith(f"{below}/") for path in self._notes.skipped)
            raise DataError(
                f"class folder {empty!r} of {os.fspath(folder)!r} has no images; got {skipped} other files; "
                "add images in a format that Pillow opens, or remove the folder"
            )
        beside = (self._notes.below(folder / name) for name in image_names(folder))
        self._notes.beside.update(dict.fromkeys(beside))
        files = list(chain.from_iterable(found.values()))
        return _Labelled(files, [name for name, each in found.items() for _ in each])

    def _listing(self, found: _Labelled, classes: tuple[str, ...], split: str) -> Listing:
        labels = positions_of(found.classes, classes, self._name)
        store = FileStore.of(self._root, ((file.path, file.size) for file in found.files))
        return Listing.of(store, labels, name=self._name, split=split, classes=classes)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_image_folder(data: str) -> bool:
    path = Path(data).expanduser()
    return path.is_dir() and not holds_parquet(path)


FOLDERS = Source(
    forms={
        "FOLDER with train/ and val/ or test/": "one folder a class in each; also Training/, dev/, testing/, ...",
        "FOLDER of class folders": "a stratified share is held out (data.holdout, data.holdout_seed)",
        "FOLDER of Tiny-ImageNet": "train/<wnid>/images/ and val/val_annotations.txt, as unpacked",
        "FOLDER of ImageNet": "train/<wnid>/, val/ flat or in class folders; flat needs LOC_val_solution.csv, or the "
        "devkit's ILSVRC2012_validation_ground_truth.txt and meta.mat",
    },
    claims=_is_image_folder,
    list_splits=lambda data, _: list_folder(Path(data).expanduser()),
)
