"""The runner: gives stages identity, storage and resume, of which they know nothing.

A stage's result is a folder named by stage and key (`artifacts/folder.py`). If it is finished it is reused; else the
stage runs, from its saved state if it was stopped.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from platform import node
from typing import Any

import torch

from wmdd.artifacts.files import remove_leftovers, write_bytes, write_json
from wmdd.artifacts.folder import ResultFolder, Store
from wmdd.artifacts.keys import InputKeys, result_key
from wmdd.errors import ArtifactError
from wmdd.methods.algorithm import Result
from wmdd.pipeline.devices import choose_device, choose_precision
from wmdd.pipeline.fresh import Fresh
from wmdd.pipeline.made_from import begin, contents
from wmdd.pipeline.memory import forget_peak, peak_memory
from wmdd.pipeline.package_code import code_of, packaged_names
from wmdd.pipeline.provenance import versions
from wmdd.pipeline.run_files import RUN_FILE
from wmdd.pipeline.stored_context import StoredContext
from wmdd.pipeline.watchers import Watcher
from wmdd.settings import Recipe, Section, SqueezeSettings
from wmdd.stages.squeeze import checkpoint_digest
from wmdd.stages.stage import Stage
from wmdd.values import ImageSet, Teacher
from wmdd.warnings import RunWarning


class Stopped(Exception):  # noqa: N818 - not an error: the user asked for it with --until
    """The stage that `--until` names is finished."""


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
    fresh: Fresh = field(default_factory=Fresh)
    """What is made anew; shared by the runners of one command."""
    results: list[StoredResult] = field(default_factory=list)
    """Every result of the run, in the order of the requests."""
    warnings: list[RunWarning] = field(default_factory=list)
    """All that was said, each once."""

    def __post_init__(self) -> None:
        self.device = choose_device(self.recipe.device)
        self.precision = choose_precision(self.recipe.precision, self.device)
        self._packaged = packaged_names(self.recipe)
        self._roles: dict[str, list[str]] = {}
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
            Stopped: this was the last stage to run.
            WmddError: the stage failed; its saved state is kept.
        """
        keys = [[each.key for each in part] if isinstance(part, tuple) else part.key for part in inputs]
        key = self._key(stage, settings, facts, keys)
        result = StoredResult(key, stage, self.store.folder(stage.name, key))
        read, title = contents(inputs), f"{stage.name} {of}".strip()
        anew = self._is_made_anew(result, read, title)
        reused = result.folder.finished and not anew
        if not reused:
            with result.folder.claimed(anew=anew) as folder:
                if anew and folder.finished and not folder.manifest().is_of(read):
                    folder.remove()
                    folder.prepare()
                if not folder.finished:  # by another process, which held it until now; or just before it was killed
                    self._make(result, folder, inputs, settings, facts, keys=keys, title=title)
                if anew:
                    result.folder.take_anew()
            self.fresh.note(result.folder)
        self.results.append(result)
        self._copy_log()
        manifest = result.folder.manifest()
        self.watcher.end(title, manifest.seconds, reused)
        if stage.output is Teacher:
            arch, top1 = result.record.spec.arch, result.record.top1
            kind = "validation" if self.recipe.data.development is None else "development"
            self.watcher.note(f"teacher {arch}: {top1:.1f} % of the {kind} images right")
        self.warn(manifest.warnings)
        self._tell(current=None)
        if stage.name == self.until:
            raise Stopped
        return result

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
        self._tell(current=None)

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

    def _is_made_anew(self, result: StoredResult, read: Mapping[str, str], title: str) -> bool:
        """Return whether a finished result is made anew: since it is asked for, or made from what is another now."""
        if not result.folder.finished:
            return False
        if self.fresh.wants(result.stage.name, result.folder):
            return True
        if result.folder.manifest().is_of(read):
            return False
        self.watcher.note(f"{title}: made again, for what it was made from is another now")
        return True

    def _make(
        self,
        result: StoredResult,
        folder: ResultFolder,
        inputs: Sequence[Result | tuple[Result, ...]],
        settings: Section,
        facts: dict[str, Any],
        *,
        keys: InputKeys,
        title: str,
    ) -> None:
        self.watcher.begin(title)
        begin(folder, contents(inputs))
        self._tell(current=folder)
        ctx = StoredContext(
            stage=result.stage.name,
            title=title,
            seed=self._seed(result.stage, settings),
            device=self.device,
            precision=self.precision,
            workers=self.recipe.data.workers,
            folder=folder,
            run_log=self.out / "log.jsonl",
            watcher=self.watcher,
            save_every=self.recipe.save_every,
        )
        forget_peak(self.device)
        records = [tuple(each.record for each in part) if isinstance(part, tuple) else part.record for part in inputs]
        record = result.stage.run(*records, settings, ctx=ctx, **facts)
        provenance = {
            "stage": result.stage.name,
            "version": result.stage.version,
            "key": result.key,
            "settings": settings.model_dump(mode="json"),
            "facts": facts,
            "inputs": keys,
            "read": contents(inputs),
            "seed": ctx.seed,
            "device": _device_name(self.device),
            "precision": self.precision,
            "host": node(),
            "versions": versions(),
            "seconds": round(ctx.clock.seconds(), 3),
            "peak_memory": peak_memory(self.device),
            "warnings": [asdict(warning) for warning in ctx.warnings],
        }
        folder.commit(record, provenance)

    def _tell(self, current: ResultFolder | None) -> None:
        """Write `run.json`: results, the current one and warnings, for `wmdd status`; roles, for `wmdd evaluate`."""
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
        write_bytes(self.out / "log.jsonl", b"".join(map(self._log_of, self.results)))

    def _log_of(self, result: StoredResult) -> bytes:
        """Return the log of a result; only curves are lost with a damaged one, so that the run goes on."""
        try:
            return result.folder.read_log()
        except ArtifactError as error:
            self.warn([RunWarning(kind="damaged log", text=f"its curves are left out: {error}")])
            return b""


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
