"""Check sums: by them a file that a disk has changed is told from the one that was written. Free of torch.

A finished result keeps the SHA-256 of each of its files (`manifest`). A file that is replaced while the result is being
made, and the manifest itself, hold their own: a seal, which is the SHA-256 of the file with zeros in the seal's place.
"""

import hashlib
import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, NonNegativeInt

from wmdd.errors import ArtifactError

UNSEALED = {"seal": "0" * 64}
"""The first entry of an object that is written as JSON and then sealed."""
_SEAL = re.compile(rb'\\?"seal\\?": \\?"([0-9a-f]{64})\\?"')
_HEAD = 4096
"""The seal stands within so many first bytes."""
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSum:
    """What a file must look like."""

    size: NonNegativeInt
    """Bytes."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


def sum_of(path: Path) -> FileSum:
    """Return size and SHA-256 of a file, read in blocks."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return FileSum(size=file.tell(), sha256=digest)


def check_file(path: Path, known: FileSum | int) -> None:
    """Compare a file with what is known of it; of results of older versions that is the size alone.

    Raises:
        ArtifactError: it is missing or another one; the line says to remove its folder.
    """
    with _reading(path):
        found = path.stat().st_size if isinstance(known, int) else sum_of(path)
    if found != known:
        raise damaged(path, "a content that is not the one written")


def damaged(path: Path, got: str) -> ArtifactError:
    """Return the error about a damaged file of a finished result.

    The user removes the result, not wmdd: results made from it have only its key for an input, and one that is made
    anew, on another machine perhaps, need not have its bytes; and a copy of the file may exist elsewhere.
    """
    return ArtifactError(f"{path} is damaged; got {got}; put a copy back, or remove {path.parent} and run again")


def sealed(data: bytes) -> bytes:
    """Return a file's content with the seal in place of the zeros of `UNSEALED`."""
    place = seal_place(data)
    return b"".join((data[: place.start], hashlib.sha256(data).hexdigest().encode(), data[place.stop :]))


def seal_place(data: bytes) -> slice:
    """Return where the zeros of `UNSEALED` stand in what a file begins with."""
    place = _SEAL.search(data, 0, _HEAD)
    assert place is not None, "sealed content must begin with UNSEALED"
    return slice(*place.span(1))


def seal_holds(path: Path) -> bool:
    """Tell whether a file has a seal that fits its content.

    Raises:
        ArtifactError: it cannot be read.
    """
    with _reading(path), path.open("rb") as file:
        head = file.read(_HEAD)
        place = _SEAL.search(head)
        if place is None:
            return False
        start, stop = place.span(1)
        digest = hashlib.sha256(head[:start] + UNSEALED["seal"].encode() + head[stop:])
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest().encode() == place[1]


@contextmanager
def _reading(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise damaged(path, error.strerror or type(error).__name__) from None
