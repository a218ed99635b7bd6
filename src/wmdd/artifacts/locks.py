"""File locks, which end with the process that holds them, however it ends; and units of work, claimed by them.

Workers on several machines see each other's locks where the file system has them: NFS 4, Lustre with `-o flock`, and
others; docs/several-machines.md. Free of torch.
"""

import fcntl
from collections.abc import Generator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import BinaryIO

from wmdd.artifacts.files import writing
from wmdd.errors import ArtifactError


class HeldError(ArtifactError):
    """Another process holds the lock."""


@contextmanager
def locked(path: Path, held: str) -> Generator[BinaryIO]:
    """Hold the lock of a file, which is made if it is missing; yield it, open at its end.

    Raises:
        HeldError: another process holds it; `held` is the line.
        ArtifactError: it cannot be written.
    """
    file = _take(path)
    if file is None:
        raise HeldError(held)
    with file:
        yield file


class Claim(Enum):
    """What became of an attempt to claim a unit of work."""

    MINE = "mine"
    MADE = "made"
    """It is finished."""
    ELSEWHERE = "elsewhere"
    """Another worker is at it."""


class Claims:
    """The units of work that this worker holds, out of those in a folder; a dead worker's units are free again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, BinaryIO] = {}

    @property
    def held(self) -> frozenset[str]:
        """The units that this worker holds."""
        return frozenset(self._held)

    def take(self, name: str) -> Claim:
        """Claim a unit.

        Raises:
            ArtifactError: the folder is gone, for the result is finished; or it is not writable.
        """
        with writing(self._folder):
            self._folder.mkdir(exist_ok=True)
        file = _take(self._folder / name)
        if file is None:
            return Claim.ELSEWHERE
        if file.tell() > 0:
            file.close()
            return Claim.MADE
        self._held[name] = file
        return Claim.MINE

    def finish(self, name: str) -> None:
        """Let all workers know that a unit is made."""
        file = self._held.pop(name)
        with writing(self._folder), file:
            file.write(b"made\n")

    def give_back(self) -> None:
        """Let go of everything that is not finished."""
        while self._held:
            self._held.popitem()[1].close()


def _take(path: Path) -> BinaryIO | None:
    """Return the file with its lock held, or None if another process holds it."""
    with writing(path):
        file = path.open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        except OSError:
            file.close()
            raise
    return file
