"""Files of a distilled set, each checked against the manifest before it is used."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from wmdd.errors import ArtifactError


@dataclass(slots=True, kw_only=True)
class CheckedFile:
    """A file of the set with its entry in the manifest, and whether its content has been checked."""

    folder: Path
    path: str
    size: int
    sha256: str
    epochs: int = 0
    """Number of epochs, one per row group."""
    checked: bool = field(default=False, init=False)

    @property
    def full_path(self) -> Path:
        """The file on disk."""
        return self.folder / self.path

    def check_size(self) -> None:
        """Raise `ArtifactError` if the file is missing or of another size."""
        size = self.full_path.stat().st_size if self.full_path.is_file() else None
        if size != self.size:
            raise damaged(self.full_path, "no file" if size is None else f"{size} bytes, not {self.size}")

    def check(self) -> None:
        """Raise `ArtifactError` if the content is not what was written; only the first call reads the file."""
        if not self.checked and sha256_of(self.full_path) != self.sha256:
            raise damaged(self.full_path, "another SHA-256")
        self.checked = True


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def damaged(path: Path, got: str) -> ArtifactError:
    """Return the error for a file that is not what was written."""
    return ArtifactError(f"{path}: damaged; got {got}; write or download the distilled set again")
