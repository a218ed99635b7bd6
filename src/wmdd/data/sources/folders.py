"""Folders of image files: the class of an image is the folder it lies in.

Classes are sorted by name (torchvision's `ImageFolder` rule), files by path; hidden files and folders are passed over.
Class folders may have folders of their own, as Tiny-ImageNet's have.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from wmdd.data.sources.annotations import flat_classes
from wmdd.data.sources.listing import FileStore, Listing, positions_of
from wmdd.data.sources.names import LAYOUTS
from wmdd.errors import DataError

SUFFIXES = frozenset(
    {".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"},
)
_VALIDATION = ("val", "valid", "validation", "test")
_KAGGLE = Path("ILSVRC/Data/CLS-LOC")


def list_folder(root: Path) -> tuple[Listing, Listing | None]:
    """List the training and, where there is one, the validation split of a folder.

    Raises:
        DataError: the layout is none of those accepted, a class is empty, or `val` has a class that `train` lacks.
    """
    name = root.resolve().name
    images = root / _KAGGLE if (root / _KAGGLE).is_dir() else root
    if not (images / "train").is_dir():
        return _list_classes(images, images, name), None
    train = _list_classes(images, images / "train", name)
    found = next((images / folder for folder in _VALIDATION if (images / folder).is_dir()), None)
    if found is None:
        return train, None
    files = list(image_files(images, found))
    if not files:
        raise _not_a_layout(found)
    if class_folders(found) and not (found / "val_annotations.txt").exists():
        return train, _list_classes(images, found, name, train.classes)
    classes = flat_classes([path for path, _ in files], found, [root, images])
    return train, _listing(
        images, files, positions_of(classes, train.classes, name), train.classes, name=name, split="val"
    )


def _list_classes(root: Path, folder: Path, name: str, known: tuple[str, ...] | None = None) -> Listing:
    """List the class folders of `folder`; those of a validation split are labelled by the `known` classes."""
    found = tuple(class_folders(folder))
    classes = known or found
    of_folder = positions_of(found, classes, name)
    files: list[tuple[str, int]] = []
    counts: list[int] = []
    for label in found:
        before = len(files)
        files.extend(image_files(root, folder / label))
        counts.append(len(files) - before)
    if not files:
        raise _not_a_layout(folder)
    split = "val" if known else "train"
    if 0 in counts:
        raise DataError(
            f"class folder {found[counts.index(0)]!r} of {os.fspath(folder)!r} has no images; got 0 files that end in "
            f"{', '.join(sorted(SUFFIXES))}; add images or remove the folder"
        )
    return _listing(root, files, np.repeat(of_folder, counts), classes, name=name, split=split)


def _listing(
    root: Path,
    files: list[tuple[str, int]],
    labels: "np.ndarray[tuple[int], np.dtype[np.int64]]",
    classes: tuple[str, ...],
    *,
    name: str,
    split: str,
) -> Listing:
    store = FileStore.of(root, files)
    return Listing(name=name, split=split, classes=classes, labels=labels, rows=np.arange(len(files)), store=store)


def class_folders(folder: Path) -> list[str]:
    """Return the names of the class folders directly in `folder`, sorted."""
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and _visible(entry.name))


def image_files(root: Path, folder: Path) -> Iterator[tuple[str, int]]:
    """Yield path below `root` and size of every image file in `folder`, sorted, folders of folders included."""
    for parent, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if _visible(name))
        below = Path(parent).relative_to(root).as_posix()
        for name in sorted(files):
            if _visible(name) and os.path.splitext(name)[1].lower() in SUFFIXES:
                yield f"{below}/{name}", _size(os.path.join(parent, name))


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0  # a dangling link: reported as broken when it is read


def _visible(name: str) -> bool:
    return not name.startswith(".") and name != "__MACOSX"


def _not_a_layout(folder: Path) -> DataError:
    forms = "; ".join(f"{form} ({text})" for form, text in LAYOUTS.items())
    return DataError(f"no labelled images found; got folder {os.fspath(folder)!r}; give one of: {forms}")
