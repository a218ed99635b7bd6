"""Files of a distilled set, each checked against the manifest before it is used. Free of torch."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pyarrow as pa
from safetensors import SafetensorError

from wmdd.artifacts.sums import sum_of
from wmdd.data.sources.decoding import UNREADABLE
from wmdd.data.sources.listing import in_one_line
from wmdd.errors import ArtifactError

ADVICE = "write or download the distilled set again"
_FOREIGN = (Warning, MemoryError, RuntimeError, SafetensorError, pa.ArrowException, *UNREADABLE)
"""What Pillow, pyarrow, safetensors and torch raise about content that they cannot read or have no room for."""


class Flaw(ValueError):  # noqa: N818 - a finding; `reading` makes the error of it
    """What is wrong with the content of a file, said without the file's name."""


@dataclass(slots=True, kw_only=True)
class CheckedFile:
    """A file of the set with its entry in the manifest, and whether its content has been checked."""

    folder: Path
    path: str
    size: int
    sha256: str
    epochs: int = 0
    """Number of epochs, each of whole row groups."""
    checked: bool = field(default=False, init=False)

    @property
    def full_path(self) -> Path:
        """The file on disk."""
        return self.folder / self.path

    def check_size(self) -> None:
        """Raise `ArtifactError` if the file is outside the set's folder, missing, or of another size."""
        if not _is_inside(self.folder, self.path):
            raise damaged(self.full_path, f"a path or link {self.path!r} that leads out of the set's folder")
        with reading(self.full_path):
            size = self.full_path.stat().st_size if self.full_path.is_file() else None
        if size != self.size:
            raise damaged(self.full_path, "no file" if size is None else f"{size} bytes, not {self.size}")

    def check(self) -> None:
        """Raise `ArtifactError` if the content is not what was written; only the first call reads the file."""
        if self.checked:
            return
        with reading(self.full_path):
            found = sum_of(self.full_path)
        if found.sha256 != self.sha256:
            raise damaged(self.full_path, "another SHA-256")
        self.checked = True


@contextmanager
def reading(path: Path) -> Generator[None]:
    """Turn whatever is found wrong with `path` while it is read into one line: a `Flaw`, or another library's error.

    Raises:
        ArtifactError: something is wrong.
    """
    try:
        yield
    except ArtifactError:
        raise
    except Flaw as flaw:
        raise damaged(path, str(flaw)) from None
    except _FOREIGN as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else in_one_line(error)
        raise damaged(path, reason) from error


def damaged(path: Path, got: str) -> ArtifactError:
    """Return the error for a file that is not what was written."""
    return ArtifactError(f"{path}: damaged; got {got}; {ADVICE}")


def _is_inside(folder: Path, path: str) -> bool:
    """Tell whether a path of the manifest, links followed, stays in the set's folder.

    In the cache of the Hugging Face Hub, a snapshot's files are links to its `blobs`; these count as inside.
    """
    relative = PurePosixPath(path)
    if relative.is_absolute() or ".." in relative.parts or "\0" in path or "\\" in path:
        return False
    try:
        home, target = folder.resolve(), (folder / relative).resolve()
    except (OSError, RuntimeError):  # a loop of links
        return False
    homes = [home, home.parents[1] / "blobs"] if home.parent.name == "snapshots" else [home]
    return any(target.is_relative_to(each) for each in homes)
