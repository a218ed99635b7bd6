"""How a worker comes to a result: it leads it, helps to make its units, takes steps along, or waits.

One worker leads a result, by the lock of its folder: it alone commits it. The others share its units of work, follow
its steps, or wait, as the stage allows. A result whose leader died is led by another worker.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from platform import node
from typing import Any

import torch

from wmdd.artifacts.folder import ResultFolder
from wmdd.artifacts.keys import InputKeys
from wmdd.artifacts.locks import Claims, HeldError
from wmdd.context import Team
from wmdd.errors import WmddError
from wmdd.methods.algorithm import Result
from wmdd.pipeline.group import lost_workers, team_of
from wmdd.pipeline.memory import forget_peak, peak_memory
from wmdd.pipeline.provenance import versions
from wmdd.pipeline.shared_context import PAUSE, FollowingContext, SharedContext
from wmdd.pipeline.stored_context import StoredContext
from wmdd.pipeline.watchers import Watcher
from wmdd.pipeline.workers import Worker
from wmdd.settings import Section
from wmdd.stages.stage import Stage


class StoredResult:
    """A finished result in the store, read when needed."""

    def __init__(self, key: str, stage: Stage, folder: ResultFolder) -> None:
        self.key = key
        self.stage = stage
        self.folder = folder

    @cached_property
    def record(self) -> Any:
        """The record, read once."""
        return self.folder.read(self.stage.output)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A result to be made."""

    result: StoredResult
    inputs: Sequence[Result | tuple[Result, ...]]
    keys: InputKeys
    settings: Section
    facts: Mapping[str, Any]
    seed: int
    title: str
    """What the watcher is told of: the stage, and of which of its runs."""

    @property
    def folder(self) -> ResultFolder:
        """Where it will be."""
        return self.result.folder

    @property
    def stage(self) -> Stage:
        """What makes it."""
        return self.result.stage


@dataclass(kw_only=True)
class Obtaining:
    """Comes to results for the runner of a worker."""

    worker: Worker
    watcher: Watcher
    device: torch.device
    precision: str
    decoders: int
    """Processes that decode images."""
    save_every: float
    run_log: Path | None
    begun: Callable[[ResultFolder], object]
    """Called when this worker begins to make a result, or to help."""
    together: bool = True
    """Whether all workers run the same stages in the same order, so that they can take steps together."""

    def take(self, job: Job) -> None:
        """Make a result if it is not there and no other worker is at it."""
        if not job.folder.finished:
            with suppress(HeldError):
                self._lead(job)

    def _in_step(self, job: Job) -> bool:
        """Return whether all workers make this result in steps that they take together."""
        return job.stage.workers == "steps" and self.together and not self.worker.alone

    def finished(self, job: Job) -> bool:
        """Return whether the result is there; workers that would make it in step are of one opinion."""
        if not self._in_step(job):
            return job.folder.finished
        with lost_workers():
            found = team_of(self.worker).agree(job.folder.finished)
        if found:  # a shared file system may tell other machines a moment later
            self._wait_until_finished(job)
        return found

    def obtain(self, job: Job) -> None:
        """Make a result that is not there, or have a part in it, or wait for it."""
        if self.worker.alone:
            self._lead(job)
        elif not self._in_step(job):
            self._lead_or_help(job)
        else:
            with lost_workers():
                (self._lead if self.worker.first else self._follow)(job, team_of(self.worker))
            self._wait_until_finished(job)

    def _lead_or_help(self, job: Job) -> None:
        """Lead the result if nobody else does; else help, if the stage has units of work, and wait."""
        helped = job.stage.workers != "units"
        if self.together and not self.worker.first:
            self._let_first_lead(job)
        while not job.folder.finished:
            try:
                self._lead(job)
            except HeldError:
                if helped:
                    self._pause()
                else:
                    self._help(job)
                    helped = True

    def _lead(self, job: Job, team: Team | None = None) -> None:
        """Make a result and commit it; raises `HeldError` if another process is at it."""
        with job.folder.claimed():
            if job.folder.finished:  # by another process, which held it until now
                return
            ctx = self._context(job, leads=True, team=team)
            record = self._compute(job, ctx)
            if isinstance(ctx, SharedContext):
                ctx.gather_logs()
            job.folder.commit(record, self._provenance(job, ctx))

    def _help(self, job: Job) -> None:
        """Make units of a result that another worker leads."""
        # What goes wrong is left to the leader, who comes to the same unit and says so; or the leader has finished,
        # and the saved state is gone.
        with suppress(WmddError):
            self._compute(job, self._context(job, leads=False))

    def _follow(self, job: Job, team: Team) -> None:
        """Take the steps of a result that the first worker leads."""
        self._compute(job, self._context(job, leads=False, team=team))

    def _compute(self, job: Job, ctx: StoredContext) -> Any:
        """Return what the stage makes."""
        self.watcher.begin(job.title)
        self.begun(job.folder)
        forget_peak(self.device)
        records = [
            tuple(each.record for each in part) if isinstance(part, tuple) else part.record for part in job.inputs
        ]
        return job.stage.run(*records, job.settings, ctx=ctx, **job.facts)

    def _context(self, job: Job, *, leads: bool, team: Team | None = None) -> StoredContext:
        common: dict[str, Any] = {
            "stage": job.stage.name,
            "title": job.title,
            "seed": job.seed,
            "device": self.device,
            "precision": self.precision,
            "workers": self.decoders,
            "threads": None if self.worker.alone else torch.get_num_threads(),
            "team": team or Team(),
            "folder": job.folder,
            "run_log": self.run_log,
            "watcher": self.watcher,
            "save_every": self.save_every,
        }
        if self.worker.alone or job.stage.workers != "units":
            return (StoredContext if leads else FollowingContext)(**common)
        return SharedContext(**common, claims=Claims(job.folder.work / "claims"), leads=leads)

    def _provenance(self, job: Job, ctx: StoredContext) -> dict[str, Any]:
        return {
            "stage": job.stage.name,
            "version": job.stage.version,
            "key": job.result.key,
            "settings": job.settings.model_dump(mode="json"),
            "facts": job.facts,
            "inputs": job.keys,
            "seed": ctx.seed,
            "device": _device_name(self.device),
            "precision": self.precision,
            "host": node(),
            "versions": versions(),
            "seconds": round(ctx.clock.seconds(), 3),
            "peak_memory": peak_memory(self.device),
            "warnings": [asdict(warning) for warning in ctx.warnings],
        }

    def _let_first_lead(self, job: Job) -> None:
        """Wait a moment for the first worker, whose screen is the one that people see."""
        for _ in range(round(1 / PAUSE)):
            if job.folder.finished or job.folder.work.is_dir():
                return
            self._pause()

    def _wait_until_finished(self, job: Job) -> None:
        while not job.folder.finished:
            self._pause()

    def _pause(self) -> None:
        if self.watcher.stop_asked():
            raise KeyboardInterrupt
        time.sleep(PAUSE)


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
