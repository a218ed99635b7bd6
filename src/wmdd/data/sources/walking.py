"""Folders, walked safely: each file counts once, links that lead back or elsewhere into the data are not followed.

A file is known by its device and inode, so links to it, soft or hard, are the same file.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from wmdd.data.sources.kinds import is_image, is_sidecar
from wmdd.data.sources.listing import is_visible
from wmdd.data.sources.notes import Notes
from wmdd.errors import DataError


class Found(NamedTuple):
    """An image file."""

    path: str
    """Below the root, separated by `/`."""
    size: int
    identity: int
    """Device and inode."""


class _Content(NamedTuple):
    """What is visible in a folder, by name."""

    identity: int
    folders: "list[os.DirEntry[str]]"
    files: "list[os.DirEntry[str]]"


class Walk:
    """Walks class folders of one data set, and notes what it leaves out."""

    def __init__(self, notes: Notes, listed: Iterable[Path]) -> None:
        """Take the folders that are to be walked: links to them, into them and to what holds them are not followed."""
        self._notes = notes
        self._listed = {os.path.realpath(folder) for folder in listed}
        self._above = {parent for folder in self._listed for parent in _parents(folder)}

    def images(self, top: Path) -> Iterator[Found]:
        """Yield the image files in a folder and its subfolders: files by name, then folders by name.

        Raises:
            DataError: a folder cannot be read.
        """
        folders, files = set[int](), set[int]()
        waiting = [os.fspath(top)]
        while waiting:
            folder = waiting.pop()
            below, content = self._notes.below(folder), _read(folder)
            if content.identity in folders:
                self._notes.links[below] = None
                continue
            folders.add(content.identity)
            for entry in content.files:
                found = self._image(entry, f"{below}/{entry.name}")
                if found is None:
                    continue
                if found.identity in files:
                    self._notes.repeated[found.path] = None
                    continue
                files.add(found.identity)
                yield found
            waiting += [entry.path for entry in reversed(content.folders) if self._is_followed(entry)]

    def _image(self, entry: "os.DirEntry[str]", below: str) -> Found | None:
        if not is_image(entry.name):
            if not is_sidecar(entry.name):
                self._notes.skipped[below] = None
            return None
        try:
            status = os.stat(entry.path)
        except OSError:
            return Found(below, 0, _identity(os.lstat(entry.path)))  # a dangling link: found broken when it is read
        if not stat.S_ISREG(status.st_mode):
            self._notes.skipped[below] = None
            return None
        return Found(below, status.st_size, _identity(status))

    def _is_followed(self, entry: "os.DirEntry[str]") -> bool:
        if not entry.is_symlink():
            return True
        target = os.path.realpath(entry.path)
        if target in self._above or not self._listed.isdisjoint((target, *_parents(target))):
            self._notes.links[self._notes.below(entry.path)] = None
            return False
        return True


def image_files(root: Path, folder: Path) -> Iterator[tuple[str, int]]:
    """Yield path below `root` and size of every image file in `folder` and its subfolders, sorted."""
    for found in Walk(Notes(root=os.fspath(root)), [folder]).images(folder):
        yield found.path, found.size


def holds_images(folder: Path) -> bool:
    """Tell whether there is an image file in `folder` or its subfolders."""
    return next(image_files(folder, folder), None) is not None


def subfolders(folder: Path, notes: Notes) -> list[str]:
    """Return the sorted names of the visible folders in `folder`, without links to itself or to a folder above it."""
    own = os.path.realpath(folder)
    above = {own, *_parents(own)}
    names: list[str] = []
    for entry in _read(os.fspath(folder)).folders:
        if entry.is_symlink() and os.path.realpath(entry.path) in above:
            notes.links[notes.below(entry.path)] = None
        else:
            names.append(entry.name)
    return names


def image_names(folder: Path) -> list[str]:
    """Return the names of the image files directly in `folder`."""
    return [entry.name for entry in _read(os.fspath(folder)).files if is_image(entry.name)]


def _read(folder: str) -> _Content:
    try:
        identity = _identity(os.stat(folder))
        with os.scandir(folder) as entries:
            visible = sorted((entry for entry in entries if is_visible(entry.name)), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(
            f"a folder of the data cannot be read; got {folder!r} ({error.strerror}); make it readable or remove it"
        ) from None
    folders = [entry for entry in visible if _is_folder(entry)]
    files = [entry for entry in visible if not _is_folder(entry)] if folders else visible
    return _Content(identity, folders, files)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # a link to itself


def _identity(status: os.stat_result) -> int:
    return status.st_dev << 64 | status.st_ino


def _parents(path: str) -> list[str]:
    return [os.fspath(parent) for parent in Path(path).parents]
