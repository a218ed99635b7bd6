"""How a worker comes to a result: it leads it, helps to make its units, takes steps along, or waits.

One worker leads a result, by the lock of its folder: it alone commits it. The others share its units of work, follow
its steps, or wait, as the stage allows. A result whose leader died is led by another worker.
"""

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
from wmdd.errors import ArtifactError, WmddError
from wmdd.methods.algorithm import Result
from wmdd.pipeline.group import lost_workers, team_of
from wmdd.pipeline.heap import trim_heap
from wmdd.pipeline.made_from import begin, has_begun
from wmdd.pipeline.memory import forget_peak, peak_memory
from wmdd.pipeline.provenance import versions
from wmdd.pipeline.shared_context import PAUSE, FollowingContext, SharedContext, pause
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

    @cached_property
    def content(self) -> str:
        """Digest of the record."""
        return self.folder.manifest().content


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A result to be made."""

    result: StoredResult
    inputs: Sequence[Result | tuple[Result, ...]]
    keys: InputKeys
    read: Mapping[str, str]
    """Digests of the stored results among the inputs, by key."""
    settings: Section
    facts: Mapping[str, Any]
    seed: int
    title: str
    """What the watcher is told of: the stage, and of which of its runs."""
    fresh: bool
    """Whether it is made anew if it is there, which workers do not share."""

    @property
    def folder(self) -> ResultFolder:
        """Where it will be."""
        return self.result.folder

    @property
    def place(self) -> ResultFolder:
        """Where it is made: beside a finished result, whose place it takes."""
        return self.folder.anew if self.folder.finished else self.folder

    @property
    def ready(self) -> bool:
        """Whether it is there, made from what its stage reads now.

        Raises:
            ArtifactError: the manifest of a finished result is damaged.
        """
        if not self.folder.finished:
            return False
        try:
            return self.folder.manifest().is_of(self.read)
        except ArtifactError:  # damaged; or another worker is putting a result in this one's place
            return self.folder.finished and self.folder.manifest().is_of(self.read)

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
    compile: bool
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
        if not job.ready:
            with suppress(HeldError):
                self._lead(job)

    def _in_step(self, job: Job) -> bool:
        """Return whether all workers make this result in steps that they take together."""
        return job.stage.workers == "steps" and self.together and not self.worker.alone

    def finished(self, job: Job) -> bool:
        """Return whether the result need not be made; workers that would make it in step are of one opinion."""
        found = job.ready and not job.fresh
        if self._in_step(job):
            with lost_workers():
                found = team_of(self.worker).agree(found)
            if found:  # a shared file system may tell other machines a moment later
                self._wait_until_ready(job)
        if not found and job.folder.finished and not job.fresh:
            self.watcher.note(f"{job.title}: made again, for what it was made from is another now")
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
            self._wait_until_ready(job)

    def _lead_or_help(self, job: Job) -> None:
        """Lead the result if nobody else does; else help, if the stage has units of work, and wait."""
        helped = job.stage.workers != "units"
        if self.together and not self.worker.first:
            self._let_first_lead(job)
        while not job.ready:
            try:
                self._lead(job)
            except HeldError:
                place = job.place
                if not helped and has_begun(place, job.read):
                    self._help(job, place)
                    helped = True
                else:
                    pause(self.watcher)

    def _lead(self, job: Job, team: Team | None = None) -> None:
        """Make a result and commit it; raises `HeldError` if another process is at it."""
        with job.folder.claimed():
            if job.ready and not job.fresh:  # by another process, which held it until now
                return
            place = job.place
            if place.finished and not place.manifest().is_of(job.read):
                place.remove()
            if not place.finished:  # by a process that was killed just before it took the old one's place
                self._make(job, place, team)
            if place != job.folder:
                job.folder.take_anew()

    def _make(self, job: Job, place: ResultFolder, team: Team | None) -> None:
        if place != job.folder:
            place.prepare()
        begin(place, job.read)
        ctx = self._context(job, place, leads=True, team=team)
        record = self._compute(job, ctx)
        if isinstance(ctx, SharedContext):
            ctx.gather_logs()
        place.commit(record, self._provenance(job, ctx))

    def _help(self, job: Job, place: ResultFolder) -> None:
        """Make units of a result that another worker leads, which has begun in a place."""
        # What goes wrong is left to the leader, who comes to the same unit and says so; or the leader has finished,
        # and the saved state is gone.
        with suppress(WmddError):
            self._compute(job, self._context(job, place, leads=False))

    def _follow(self, job: Job, team: Team) -> None:
        """Take the steps of a result that the first worker leads."""
        self._compute(job, self._context(job, job.place, leads=False, team=team))

    def _compute(self, job: Job, ctx: StoredContext) -> Any:
        """Return what the stage makes."""
        self.watcher.begin(job.title)
        self.begun(ctx.folder)
        trim_heap()  # what the stage before has freed is none of this one's memory
        forget_peak(self.device)
        records = [
            tuple(each.record for each in part) if isinstance(part, tuple) else part.record for part in job.inputs
        ]
        return job.stage.run(*records, job.settings, ctx=ctx, **job.facts)

    def _context(self, job: Job, place: ResultFolder, *, leads: bool, team: Team | None = None) -> StoredContext:
        common: dict[str, Any] = {
            "stage": job.stage.name,
            "title": job.title,
            "seed": job.seed,
            "device": self.device,
            "precision": self.precision,
            "compile": self.compile,
            "workers": self.decoders,
            "threads": None if self.worker.alone else torch.get_num_threads(),
            "team": team or Team(),
            "folder": place,
            "run_log": self.run_log,
            "watcher": self.watcher,
            "save_every": self.save_every,
        }
        if self.worker.alone or job.stage.workers != "units":
            return (StoredContext if leads else FollowingContext)(**common)
        return SharedContext(**common, claims=Claims(place.work / "claims"), leads=leads)

    def _provenance(self, job: Job, ctx: StoredContext) -> dict[str, Any]:
        return {
            "stage": job.stage.name,
            "version": job.stage.version,
            "key": job.result.key,
            "settings": job.settings.model_dump(mode="json"),
            "facts": job.facts,
            "inputs": job.keys,
            "read": job.read,
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
            if job.ready or job.place.work.is_dir():
                return
            pause(self.watcher)

    def _wait_until_ready(self, job: Job) -> None:
        while not job.ready:
            pause(self.watcher)


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
