"""The context that writes: saved state in a result's folder, rows in its log, progress to the watcher."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from wmdd.artifacts.files import append_text, read_json, write_json
from wmdd.artifacts.folder import ResultFolder
from wmdd.artifacts.tensors import mapped_tensor, read_tensors, write_tensors
from wmdd.context import Context, Saved
from wmdd.pipeline.watchers import Watcher
from wmdd.values import RunWarning


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

    title: str
    """What the watcher is told of: the stage, and of which of its runs."""
    folder: ResultFolder
    run_log: Path
    watcher: Watcher
    save_every: float = 20.0
    clock: _Clock = field(default_factory=_Clock)
    warnings: list[RunWarning] = field(default_factory=list)
    """What the stage said in this attempt."""

    def __post_init__(self) -> None:
        spent = self.folder.work / "seconds.json"
        if spent.exists():
            self.clock.before = float(read_json(spent))

    def log(self, **row: Any) -> None:
        """Append the row to the result's log and to the run's."""
        line = json.dumps({"stage": self.stage, **row}, ensure_ascii=False) + "\n"
        for path in (self.folder.log, self.run_log):
            append_text(path, line)

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

    def save(self, name: str, tensors: Mapping[str, Tensor], **facts: Any) -> bool:
        """Write the state; then stop if the watcher asks for it."""
        write_tensors(self._file(name), tensors, facts)
        self.clock.saved = time.monotonic()
        if self.clock.saved - self.clock.noted > 1:
            write_json(self.folder.work / "seconds.json", self.clock.seconds())
            self.clock.noted = self.clock.saved
        if self.watcher.stop_asked():
            raise KeyboardInterrupt
        return True

    def restore(self, name: str) -> Saved | None:
        """Read the state."""
        path = self._file(name)
        if not path.exists():
            return None
        tensors, facts = read_tensors(path)
        return Saved(tensors=tensors, facts=facts)

    def array(self, name: str, shape: Sequence[int]) -> Tensor:
        """Return a tensor in the result's own folder."""
        return mapped_tensor(self.folder.path / f"{name}.safetensors", name, tuple(shape))

    def _file(self, name: str) -> Path:
        return self.folder.work / f"{name.replace('/', '_').replace(' ', '_')}.safetensors"
