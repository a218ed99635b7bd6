"""Where results live: one folder each, named by stage and key.

`manifest.json` is written last and by rename. With it a result is finished and never changes again; without it the
result is unfinished and the saved state of its units of work is in `work/`, which is removed after the manifest is
written. Units that are part of the record move from `work/` into the folder; if the process dies before the manifest
is written, the next one to claim the folder moves them back.
"""

import fcntl
import os
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from wmdd.artifacts.files import fsync_folder, make_folder, read_json, write_json, writing
from wmdd.artifacts.formats import read_record, take_back, write_record
from wmdd.errors import ArtifactError

MANIFEST = "manifest.json"
LOG = "log.jsonl"
WORK = "work"
Record = TypeVar("Record")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFolder:
    """The folder of one stage's result, finished or not."""

    path: Path

    @property
    def finished(self) -> bool:
        """Whether the result is complete."""
        return (self.path / MANIFEST).is_file()

    @property
    def work(self) -> Path:
        """Folder of saved state while the result is unfinished."""
        return self.path / WORK

    @property
    def log(self) -> Path:
        """File of the rows that the stage logged."""
        return self.path / LOG

    def manifest(self) -> dict[str, Any]:
        """Return the facts about a finished result."""
        return read_json(self.path / MANIFEST)

    def read(self, kind: type[Record]) -> Record:
        """Read the finished record."""
        return read_record(kind, self.path)

    def commit(self, record: Any, facts: Mapping[str, Any]) -> None:
        """Write the record, then the manifest, which makes the folder finished."""
        with writing(self.path):
            write_record(record, self.path, units=self.work)
        sizes = {file.name: file.stat().st_size for file in sorted(self.path.glob("*.safetensors"))}
        fsync_folder(self.path)
        write_json(self.path / MANIFEST, {**facts, "files": sizes})
        shutil.rmtree(self.work, ignore_errors=True)

    @contextmanager
    def claimed(self) -> Generator[None]:
        """Hold the folder for this process.

        Raises:
            ArtifactError: another process is working on the same result.
        """
        make_folder(self.work)
        lock = self.path.with_name(f".{self.path.name}.lock")
        with lock.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise ArtifactError(
                    f"another process is working on this result; got {self.path}; wait for it, or use another --store"
                ) from error
            file.write(str(os.getpid()))
            if not self.finished:
                take_back(self.path, self.work)
            yield


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """A folder of results, shared by runs."""

    root: Path

    def folder(self, stage: str, key: str) -> ResultFolder:
        """Return the folder of a stage's result."""
        return ResultFolder(path=self.root / f"{stage}-{key}")
