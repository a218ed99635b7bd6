"""The runner: gives stages identity, storage and resume, of which they know nothing.

A stage's result is a folder named by stage and key (`artifacts/folder.py`). If it is finished it is reused; else the
stage runs, from its saved state if it was stopped (`obtaining.py`: alone, or shared with other workers).
"""

from collections.abc import Collection, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from wmdd.artifacts.files import remove_leftovers, write_bytes, write_json
from wmdd.artifacts.folder import LOG, ResultFolder, Store
from wmdd.artifacts.keys import InputKeys, result_key
from wmdd.errors import ArtifactError
from wmdd.methods.algorithm import Result
from wmdd.pipeline.devices import choose_device, choose_precision
from wmdd.pipeline.fresh import Fresh
from wmdd.pipeline.made_from import contents
from wmdd.pipeline.obtaining import Job, Obtaining, StoredResult
from wmdd.pipeline.package_code import code_of, packaged_names
from wmdd.pipeline.run_files import RUN_FILE
from wmdd.pipeline.watchers import Watcher
from wmdd.pipeline.workers import Worker, this_worker
from wmdd.settings import Recipe, Section, SqueezeSettings
from wmdd.stages.squeeze import checkpoint_digest
from wmdd.stages.stage import Stage
from wmdd.values import ImageSet, Teacher
from wmdd.warnings import RunWarning


class Stopped(Exception):  # noqa: N818 - not an error: the user asked for it with --until
    """The stage that `--until` names is finished, or left out by the run's settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenResult:
    """A record in memory."""

    key: str
    record: Any
    content: str = ""
    """Digest of the record, if it is of the store; the key of others says what they hold."""


def given_images(images: ImageSet) -> GivenResult:
    """Return opened images as a result."""
    return GivenResult(key=images.fingerprint, record=images)


@dataclass(kw_only=True)
class Runner:
    """Runs stages for one run."""

    recipe: Recipe
    store: Store
    out: Path
    watcher: Watcher
    until: str | None = None
    later: Collection[str] = ()
    """Stages after `until`: a run that reaches one has passed it, for its settings may leave it out."""
    fresh: Fresh = field(default_factory=Fresh)
    """What is made anew; shared by the runners of one command."""
    results: list[StoredResult] = field(default_factory=list)
    """Every result of the run, in the order of the requests."""
    warnings: list[RunWarning] = field(default_factory=list)
    """All that was said, each once."""
    worker: Worker = field(default_factory=this_worker)
    writes: bool | None = None
    """Whether this worker writes the files in `out`; None = the first one does."""
    together: bool = True
    """Whether all workers run the same stages in the same order, so that they can take steps together."""

    def __post_init__(self) -> None:
        self.device = choose_device(self.recipe.device, self.worker.local_rank)
        self.precision = choose_precision(self.recipe.precision, self.device)
        self.writes = self.worker.first if self.writes is None else self.writes
        self._packaged = packaged_names(self.recipe)
        self._roles: dict[str, list[str]] = {}
        self._obtaining = Obtaining(
            worker=self.worker,
            watcher=self.watcher,
            device=self.device,
            precision=self.precision,
            compile=self.recipe.compile,
            decoders=self.recipe.data.workers,
            save_every=self.recipe.save_every,
            run_log=self.out / LOG if self.writes else None,
            begun=self._tell,
            together=self.together,
        )
        if self.writes:
            remove_leftovers(self.out)

    def run(
        self,
        stage: Stage,
        *inputs: Result | tuple[Result, ...],
        settings: Section,
        of: str = "",
        **facts: Any,
    ) -> StoredResult:
        """Return the result of `stage`, from the store or made; a tuple of results reaches it as a tuple of records.

        `of` tells several runs of a stage apart, on the screen alone: of which set or network each is.

        Raises:
            Stopped: this was the last stage to run, or comes after it.
            WmddError: the stage failed; its saved state is kept.
        """
        if stage.name in self.later:
            raise Stopped
        job = self._job(stage, inputs, settings, facts, of)
        reused = self._obtaining.finished(job)
        if not reused:
            self._obtaining.obtain(job)
            self.fresh.note(job.folder)
        result = job.result
        self.results.append(result)
        self._copy_log()
        manifest = result.folder.manifest()
        self.watcher.end(job.title, manifest.seconds, reused)
        if stage.output is Teacher:
            arch, top1 = result.record.spec.arch, result.record.top1
            kind = "validation" if self.recipe.data.development is None else "development"
            self.watcher.note(f"teacher {arch}: {top1:.1f} % of the {kind} images right")
        self.warn(manifest.warnings)
        self._tell()
        if stage.name == self.until:
            raise Stopped
        return result

    def take(self, stage: Stage, *inputs: Result, settings: Section, of: str = "") -> None:
        """Make a result if it is not there and no other worker is at it."""
        self._obtaining.take(self._job(stage, inputs, settings, {}, of))

    @contextmanager
    def apart(self) -> Generator[None]:
        """Let workers run stages in orders of their own inside the `with`."""
        self._obtaining.together = False
        try:
            yield
        finally:
            self._obtaining.together = self.together

    def warn(self, warnings: Iterable[RunWarning]) -> None:
        """Tell the watcher what it was not told before, and remember it for the run's metrics."""
        for warning in warnings:
            if warning not in self.warnings:
                self.warnings.append(warning)
                self.watcher.warn(warning.text)

    def name_roles(self, **roles: Sequence[Result]) -> None:
        """Write into `run.json` which results are the run's `sets`, its `teachers`, and who is `labelling`."""
        folders = {result.key: result.folder.path.name for result in self.results}
        self._roles = {role: [folders[each.key] for each in results] for role, results in roles.items()}
        self._tell()

    def of_role(self, role: str) -> list[StoredResult]:
        """Return the results that `name_roles` gave a role."""
        by_name = {result.folder.path.name: result for result in self.results}
        return [by_name[name] for name in self._roles.get(role, [])]

    def _key(self, stage: Stage, settings: Section, facts: dict[str, Any], inputs: InputKeys) -> str:
        counted = {**settings.counted(), **facts}
        if isinstance(settings, SqueezeSettings) and settings.checkpoint is not None:
            counted["checkpoint"] = checkpoint_digest(settings.checkpoint)
        counted |= code_of(stage, settings.model_dump(mode="json"), self._packaged)
        if stage.seeded:
            counted["seed"] = self._seed(stage, settings)
        if stage.networks:
            counted["precision"] = self.precision
        return result_key(stage.name, stage.version, counted, inputs)

    def _seed(self, stage: Stage, settings: Section) -> int:
        """Return the seed of a stage.

        That of a teacher, and of what is trained as one, may be its own, so that runs with other seeds share it.
        """
        own = stage.output is Teacher or isinstance(settings, SqueezeSettings)
        return int(getattr(settings, "seed", self.recipe.seed)) if own else self.recipe.seed

    def _job(
        self,
        stage: Stage,
        inputs: Sequence[Result | tuple[Result, ...]],
        settings: Section,
        facts: dict[str, Any],
        of: str,
    ) -> Job:
        keys = [[each.key for each in part] if isinstance(part, tuple) else part.key for part in inputs]
        key = self._key(stage, settings, facts, keys)
        result = StoredResult(key, stage, self.store.folder(stage.name, key))
        return Job(
            result=result,
            inputs=inputs,
            keys=keys,
            read=contents(inputs),
            settings=settings,
            facts=facts,
            seed=self._seed(stage, settings),
            title=f"{stage.name} {of}".strip(),
            fresh=self.fresh.wants(stage.name, result.folder),
        )

    def _tell(self, current: ResultFolder | None = None) -> None:
        """Write `run.json`: results, the current one and warnings, for `wmdd status`; roles, for `wmdd evaluate`."""
        if not self.writes:
            return
        write_json(
            self.out / RUN_FILE,
            {
                "store": str(self.store.root.resolve()),
                "results": [
                    {"stage": each.stage.name, "folder": each.folder.path.name, "record": each.stage.output.__name__}
                    for each in self.results
                ],
                **self._roles,
                "current": current.path.name if current else None,
                "warnings": [asdict(warning) for warning in self.warnings],
            },
        )

    def _copy_log(self) -> None:
        """Write the run's log as the logs of its results, in order, so that those of reused results are in it."""
        if not self.writes:
            return
        write_bytes(self.out / LOG, b"".join(map(self._log_of, self.results)))

    def _log_of(self, result: StoredResult) -> bytes:
        """Return the log of a result; only curves are lost with a damaged one, so that the run goes on."""
        try:
            return result.folder.read_log()
        except ArtifactError as error:
            self.warn([RunWarning(kind="damaged log", text=f"its curves are left out: {error}")])
            return b""
