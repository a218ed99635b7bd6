"""`manifest.json`: what a finished result says about itself, and the check sums of its files."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import NonNegativeFloat, NonNegativeInt

from wmdd.artifacts.files import write_bytes
from wmdd.artifacts.keys import LENGTH
from wmdd.artifacts.parsing import PlainName, read_as
from wmdd.artifacts.sums import UNSEALED, FileSum, check_file, damaged, seal_holds, sealed, sum_of
from wmdd.warnings import RunWarning

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The facts that are read again; the file has more, for people."""

    files: dict[PlainName, FileSum | int]
    """All files of the result; of an older version, the sizes of some."""
    seconds: NonNegativeFloat = 0.0
    """Spent on the result over all attempts."""
    key: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    inputs: tuple[str | tuple[str, ...], ...] = ()
    """Keys of what the stage read."""
    read: dict[str, str] = field(default_factory=dict)
    """`content` of the stored results that it read, by key; empty in manifests of older versions."""
    peak_memory: NonNegativeInt = 0
    """Bytes."""
    versions: dict[str, str] = field(default_factory=dict)
    """Of the packages that decide results, and the commit of a checkout."""
    warnings: tuple[RunWarning, ...] = ()

    def is_of(self, read: Mapping[str, str]) -> bool:
        """Return whether the result was made from these contents, as far as is known."""
        return all(self.read.get(key, content) == content for key, content in read.items())

    @property
    def content(self) -> str:
        """Digest of the record: of all files but the log."""
        sums = [(name, str(known)) for name, known in sorted(self.files.items()) if not name.endswith(".jsonl")]
        return hashlib.sha256(json.dumps(sums).encode()).hexdigest()[:LENGTH]


def write_manifest(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write the manifest of the files that lie in `folder`, which makes them a finished result."""
    files = {
        path.name: asdict(sum_of(path)) for path in sorted(folder.iterdir()) if path.is_file() and path.name != MANIFEST
    }
    text = json.dumps({**UNSEALED, **facts, "files": files}, indent=1, ensure_ascii=False) + "\n"
    write_bytes(folder / MANIFEST, sealed(text.encode()))


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a finished result.

    Raises:
        ArtifactError: it is missing or damaged.
    """
    path = folder / MANIFEST
    manifest = read_as(Manifest, path, advice=f"remove {folder} and run again")
    of_older_version = {isinstance(known, int) for known in manifest.files.values()} == {True}
    if not of_older_version and not seal_holds(path):
        raise damaged(path, "a content that is not the one written")
    return manifest


def check_listed(path: Path, manifest: Manifest) -> None:
    """Compare a file with its result's manifest; raises what `check_file` raises.

    Manifests of older versions do not list all files.
    """
    known = manifest.files.get(path.name)
    if known is not None:
        check_file(path, known)
