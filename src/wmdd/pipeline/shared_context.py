"""The context of a stage whose units of work several workers share: each is claimed, made and saved by one of them.

Units and their rows are files in the folder of the result, whole or not at all. One worker leads the result: only it
keeps the arrays and commits. The others help until every unit is made; what else they compute is thrown away.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from platform import node
from typing import Any

import torch
from torch import Tensor

from wmdd.artifacts.files import append_text
from wmdd.artifacts.locks import Claim, Claims
from wmdd.context import Saved
from wmdd.errors import ArtifactError
from wmdd.pipeline.stored_context import StoredContext, log_line
from wmdd.pipeline.watchers import Watcher

PAUSE = 0.05
"""Seconds after which a worker that waits for others looks again."""
_ROWS = "rows of an array"
_LOGS = "log-*.jsonl"


def pause(watcher: Watcher) -> None:
    """Wait a moment for other workers; raises `KeyboardInterrupt` if the run is to stop."""
    if watcher.stop_asked():
        raise KeyboardInterrupt
    time.sleep(PAUSE)


@dataclass(frozen=True, kw_only=True)
class SharedContext(StoredContext):
    """A context whose units of work are claimed one by one."""

    claims: Claims
    leads: bool

    def log(self, **row: Any) -> None:
        """Append the row to the result's log, or to this helper's, which joins it in the end.

        Of a helper only the rows of its units count: what else it computes, the leader computes too.
        """
        if self.leads:
            super().log(**row)
        elif self.claims.held:
            append_text(self._own_log(), log_line(self.stage, row))

    def share(self, names: Sequence[str], *, many: int = 1) -> Iterator[Sequence[int]]:
        """Yield units that nobody else is making until all are made."""
        stems = [self._file(name).stem for name in names]
        waiting = list(range(len(names)))
        try:
            while waiting:
                mine = self._claimed(stems, waiting, many)
                if mine:
                    yield mine
                    for number in mine:
                        self.claims.finish(stems[number])
                        waiting.remove(number)
                elif waiting:
                    pause(self.watcher)
        finally:
            self.claims.give_back()

    def save(self, name: str, tensors: Mapping[str, Tensor], *, rows: Tensor | None = None, **facts: Any) -> bool:
        """Write the state, and the rows themselves: another worker has no part in this one's array."""
        return super().save(name, tensors if rows is None else {**tensors, _ROWS: rows}, **facts)

    def restore(self, name: str, *, rows: Callable[[Mapping[str, Any]], Tensor] | None = None) -> Saved | None:
        """Read the state; put its rows into the array if this worker leads.

        Raises:
            ArtifactError: this worker helps, and the result is finished: nothing is left to do.
        """
        saved = super().restore(name)
        if saved is None:
            if not (self.leads or self.folder.work.is_dir()):
                raise ArtifactError(f"saved state is gone; got no {self.folder.work}; the result is finished")
            return None
        tensors = dict(saved.tensors)
        own = tensors.pop(_ROWS, None)
        if own is not None and rows is not None and self.leads:
            rows(saved.facts).copy_(own)
        return Saved(tensors=tensors, facts=saved.facts)

    def array(self, name: str, shape: Sequence[int]) -> Tensor:
        """Return a tensor in the result's own folder; for a helper one in memory, which only its own rows take up."""
        return super().array(name, shape) if self.leads else torch.zeros(*shape)

    def gather_logs(self) -> None:
        """Append the logs of the helpers to the result's."""
        for path in sorted(self.folder.work.glob(_LOGS)):
            append_text(self.folder.log, path.read_text(encoding="utf-8"))
            path.unlink()

    def _keep_seconds(self) -> None:
        if self.leads:
            super()._keep_seconds()

    def _claimed(self, stems: Sequence[str], waiting: list[int], many: int) -> list[int]:
        """Return up to `many` of the units that wait, now this worker's; those that are made wait no longer."""
        mine: list[int] = []
        for number in list(waiting):
            found = self.claims.take(stems[number])
            if found is Claim.MADE:
                waiting.remove(number)
            elif found is Claim.MINE:
                mine.append(number)
            if len(mine) == many:
                break
        return mine

    def _own_log(self) -> Path:
        return self.folder.work / f"log-{node()}-{os.getpid()}.jsonl"


@dataclass(frozen=True, kw_only=True)
class FollowingContext(StoredContext):
    """The context of a worker that takes the first one's steps along with it: the first keeps everything."""

    def log(self, **row: Any) -> None:
        """Leave it to the first worker."""

    def save(self, name: str, tensors: Mapping[str, Tensor], *, rows: Tensor | None = None, **facts: Any) -> bool:
        """Leave it to the first worker; stop when it does."""
        del name, tensors, rows, facts
        if self.watcher.stop_asked():
            raise KeyboardInterrupt
        return False

    def restore(self, name: str, *, rows: Callable[[Mapping[str, Any]], Tensor] | None = None) -> Saved | None:
        """Leave it to the first worker, who tells what it found."""
        del name, rows
