"""The context that writes: saved state in a result's folder, rows in its log, progress to the watcher."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wmdd.artifacts.files import append_text, write_json, writing
from wmdd.artifacts.folder import ResultFolder
from wmdd.artifacts.parsing import read_as
from wmdd.artifacts.sums import seal_holds
from wmdd.artifacts.tensors import digest_of, mapped_tensor, read_tensors, scratch_tensor, write_tensors
from wmdd.context import Context, Saved
from wmdd.errors import ArtifactError
from wmdd.mapped import give_back
from wmdd.pipeline.watchers import Watcher
from wmdd.warnings import RunWarning

_SECONDS = "seconds.json"
"""In `work/`: seconds spent so far."""
_ROWS = "rows"
"""Fact of a saved state: check sum of the rows that belong to it."""


def log_line(stage: str, row: Mapping[str, Any]) -> str:
    """Return a row of a log as its line."""
    return json.dumps({"stage": stage, **row}, ensure_ascii=False) + "\n"


@dataclass(slots=True)
class _Clock:
    """Seconds spent on a result over all attempts, and when its state was last saved."""

    before: float = 0.0
    started: float = field(default_factory=time.monotonic)
    saved: float = field(default_factory=time.monotonic)
    noted: float = 0.0
    """When the seconds were last written to disk."""
    polled: bool = False
    """Whether the stage has called `due`: then it saves before it stops."""

    def seconds(self) -> float:
        """Return the seconds spent so far, in this and in earlier attempts."""
        return self.before + time.monotonic() - self.started


@dataclass(frozen=True, kw_only=True)
class StoredContext(Context):
    """A context that keeps its state in the folder of the result."""

    folder: ResultFolder
    run_log: Path | None
    """The log of the run; None for a worker that has no part in its files."""
    watcher: Watcher
    title: str
    """What the watcher is told of: the stage, and of which of its runs."""
    save_every: float = 20.0
    clock: _Clock = field(default_factory=_Clock)
    warnings: list[RunWarning] = field(default_factory=list)
    """What the stage said in this attempt."""

    def __post_init__(self) -> None:
        spent = self.folder.work / _SECONDS
        if spent.exists():
            try:
                self.clock.before = max(0.0, read_as(float, spent))
            except ArtifactError:
                self._say_damaged(spent)

    def log(self, **row: Any) -> None:
        """Append the row to the result's log and to the run's."""
        for path in (self.folder.log, self.run_log):
            if path is not None:
                append_text(path, log_line(self.stage, row))

    def warn(self, kind: str, text: str, count: int = 1) -> None:
        """Keep the warning for the result's manifest."""
        self.warnings.append(RunWarning(kind=kind, text=text, count=count))

    def progress(self, done: int, total: int) -> None:
        """Forward the progress; a stage that saves no state is stopped here if the watcher asks for it."""
        self.watcher.progress(self.title, done, total)
        if self.watcher.stop_asked() and not self.clock.polled:
            raise KeyboardInterrupt

    def due(self) -> bool:
        """Return whether `save_every` seconds have passed, or the watcher asks the run to stop."""
        self.clock.polled = True
        return self.watcher.stop_asked() or time.monotonic() - self.clock.saved >= self.save_every

    def save(self, name: str, tensors: Mapping[str, Tensor], *, rows: Tensor | None = None, **facts: Any) -> bool:
        """Write the state; then stop if the watcher asks for it."""
        write_tensors(self._file(name), tensors, facts | ({} if rows is None else {_ROWS: _digest(rows)}))
        self.clock.saved = time.monotonic()
        if self.clock.saved - self.clock.noted > 1:
            self._keep_seconds()
            self.clock.noted = self.clock.saved
        if self.watcher.stop_asked():
            raise KeyboardInterrupt
        return True

    def restore(self, name: str, *, rows: Callable[[Mapping[str, Any]], Tensor] | None = None) -> Saved | None:
        """Read the state; what is damaged is removed and said, because the stage can make it again."""
        path = self._file(name)
        if not path.exists():
            return None
        try:
            saved = self._read(path, rows)
        except ArtifactError:
            saved = None
        if saved is None:
            with writing(path):
                path.unlink()
            self._say_damaged(path)
        return saved

    def array(self, name: str, shape: Sequence[int]) -> Tensor:
        """Return a tensor in the result's own folder."""
        return mapped_tensor(self.folder.path / f"{name}.safetensors", name, tuple(shape))

    def scratch(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Return a tensor in a file without a name beside the saved state; memory holds what is being written."""
        return scratch_tensor(shape, dtype, self.folder.work)

    def _keep_seconds(self) -> None:
        """Write how many seconds were spent so far."""
        write_json(self.folder.work / _SECONDS, self.clock.seconds())

    def _read(self, path: Path, rows: Callable[[Mapping[str, Any]], Tensor] | None) -> Saved | None:
        """Return the state that a file holds if it is what was saved, with its rows."""
        if not seal_holds(path):
            return None
        tensors, facts = read_tensors(path)
        digest = facts.pop(_ROWS, None)
        if rows is not None and _digest(rows(facts)) != digest:
            return None
        return Saved(tensors=tensors, facts=facts)

    def _say_damaged(self, path: Path) -> None:
        self.warn("damaged state", f"{path} was not what had been saved and is made again; check this disk")

    def _file(self, name: str) -> Path:
        return self.folder.work / f"{name.replace('/', '_').replace(' ', '_')}.safetensors"


def _digest(rows: Tensor) -> str:
    """Return the check sum of rows of an array; they need not stay in memory."""
    found = digest_of(rows)
    give_back(rows)
    return found
