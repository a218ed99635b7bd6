"""A context that keeps saved state in a dictionary and can be told to die: a kill, and the same command once more."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from wmdd.context import Context, Saved
from wmdd.warnings import RunWarning


class KilledError(Exception):
    """Stands for the process's death right after a save."""


@dataclass(frozen=True, kw_only=True)
class MemoryContext(Context):
    """Keeps everything; `dies_after` = n raises `KilledError` right after the n-th save."""

    kept: dict[str, Saved] = field(default_factory=dict)
    arrays: dict[str, Tensor] = field(default_factory=dict)
    saves: list[str] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[RunWarning] = field(default_factory=list)
    steps: list[tuple[int, int]] = field(default_factory=list)
    dies_after: int | None = None

    def again(self, *, dies_after: int | None = None) -> "MemoryContext":
        """Return the context of the same command started once more: what was saved is still there."""
        return replace(self, saves=[], rows=[], warnings=[], steps=[], dies_after=dies_after)

    def log(self, **row: Any) -> None:
        self.rows.append(json.loads(json.dumps(row)))

    def warn(self, kind: str, text: str, count: int = 1) -> None:
        self.warnings.append(RunWarning(kind=kind, text=text, count=count))

    def progress(self, done: int, total: int) -> None:
        assert 0 < done <= total
        self.steps.append((done, total))

    def due(self) -> bool:
        return True

    def save(self, name: str, tensors: Mapping[str, Tensor], *, rows: Tensor | None = None, **facts: Any) -> bool:
        del rows
        # As on disk: plain layout, no graph, facts through JSON.
        copies = {key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}
        self.kept[name] = Saved(tensors=copies, facts=json.loads(json.dumps(facts)))
        self.saves.append(name)
        if self.dies_after == len(self.saves):
            raise KilledError
        return True

    def restore(self, name: str, *, rows: Callable[[Mapping[str, Any]], Tensor] | None = None) -> Saved | None:
        del rows
        return self.kept.get(name)

    def array(self, name: str, shape: Sequence[int]) -> Tensor:
        return self.arrays.setdefault(name, torch.zeros(*shape))
