"""Where results live: one folder each, named by stage and key.

`manifest.json` is written last and by rename. With it a result is finished and never changes again; without it the
result is unfinished and the saved state of its units of work is in `work/`, which is removed after the manifest is
written. Units that are part of the record move from `work/` into the folder; if the process dies before the manifest
is written, the next one to claim the folder moves them back.

A finished result that is made anew is made in a folder beside it, which takes its place once it is finished.
"""

import os
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from wmdd.artifacts.files import fsync_folder, make_folder, remove_leftovers, writing
from wmdd.artifacts.formats import read_record, take_back, write_record
from wmdd.artifacts.locks import locked
from wmdd.artifacts.manifest import MANIFEST, Manifest, check_listed, read_manifest, write_manifest

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
    def anew(self) -> "ResultFolder":
        """The folder beside it in which its result is made anew."""
        return ResultFolder(path=self.path.with_name(f"{self.path.name}.anew"))

    @property
    def work(self) -> Path:
        """Folder of saved state while the result is unfinished."""
        return self.path / WORK

    @property
    def log(self) -> Path:
        """File of the rows that the stage logged."""
        return self.path / LOG

    def manifest(self) -> Manifest:
        """Return the facts about a finished result.

        Raises:
            ArtifactError: they are missing or damaged.
        """
        return read_manifest(self.path)

    def read(self, kind: type[Record]) -> Record:
        """Read the finished record, each file after it was compared with the manifest.

        Raises:
            ArtifactError: a file is damaged; of an epoch of labels, when it is read.
        """
        manifest = self.manifest()
        return read_record(kind, self.path, check=lambda path: check_listed(path, manifest))

    def read_log(self) -> bytes:
        """Return the rows that the stage logged, if any.

        Raises:
            ArtifactError: the file is damaged.
        """
        if not self.log.exists():
            return b""
        check_listed(self.log, self.manifest())
        return self.log.read_bytes()

    def commit(self, record: Any, facts: Mapping[str, Any]) -> None:
        """Write the record, then the manifest, which makes the folder finished."""
        with writing(self.path):
            write_record(record, self.path, units=self.work)
            fsync_folder(self.path)
            write_manifest(self.path, facts)
        self._remove_work()

    def take_anew(self) -> None:
        """Put the finished result of `anew` in this one's place; killed in between, the next claim does the rest."""
        old = self.path.with_name(f"{self.path.name}.old")
        with writing(self.path):
            shutil.rmtree(old, ignore_errors=True)
            if self.path.exists():
                self.path.rename(old)
            self.anew.path.rename(self.path)
        shutil.rmtree(old, ignore_errors=True)

    def _remove_work(self) -> None:
        """Remove the saved state in one step: workers that still read there find all of it, or no folder at all."""
        gone = self.path / f"{WORK}.gone"
        with suppress(OSError):
            self.work.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    @contextmanager
    def claimed(self) -> Generator[None]:
        """Hold the folder for this process, and `anew` with it; it is ready for its stage if it is unfinished.

        Raises:
            HeldError: another process is working on the same result.
            ArtifactError: the folder is not writable.
        """
        make_folder(self.path.parent)
        lock = self.path.with_name(f".{self.path.name}.lock")
        held = f"another process is working on this result; got {self.path}; wait for it, or use another --store"
        with locked(lock, held) as file:
            with writing(lock):
                file.truncate(0)
                file.write(str(os.getpid()).encode())
                file.flush()
            if not self.finished and self.anew.finished:
                self.take_anew()
            if not self.finished:
                self.prepare()
            yield

    def remove(self) -> None:
        """Remove the folder with all that is in it; raises what `writing` raises."""
        with writing(self.path):
            shutil.rmtree(self.path)

    def prepare(self) -> None:
        """Make the folder of an unfinished result ready for its stage; raises what `writing` raises."""
        make_folder(self.work)
        for folder in (self.path, self.work):
            remove_leftovers(folder)
        with writing(self.path):
            take_back(self.path, self.work)


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """A folder of results, shared by runs."""

    root: Path

    def folder(self, stage: str, key: str) -> ResultFolder:
        """Return the folder of a stage's result."""
        return ResultFolder(path=self.root / f"{stage}-{key}")
