"""A finished run, opened again so that further students can be trained beside its own, under its teachers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wmdd.artifacts.files import make_folder
from wmdd.artifacts.folder import ResultFolder, Store
from wmdd.artifacts.parsing import read_as
from wmdd.data.sources.opening import open_data
from wmdd.errors import ConfigError, DataError
from wmdd.methods.algorithm import Result
from wmdd.methods.catalogue import complete, read_recipe
from wmdd.pipeline.doubts import few_test_images
from wmdd.pipeline.fresh import Fresh
from wmdd.pipeline.group import first_goes_first
from wmdd.pipeline.plan import RunPlan, plan_run
from wmdd.pipeline.run_files import METRICS_FILE, RECIPE_FILE, RUN_ADVICE, RUN_FILE, RunFile, read_metrics
from wmdd.pipeline.runner import GivenResult, Runner
from wmdd.pipeline.set_evaluation import labelling_teachers
from wmdd.pipeline.watchers import Watcher
from wmdd.pipeline.workers import this_worker
from wmdd.product.manifest import open_product
from wmdd.product.reading import PortableSet, load
from wmdd.settings import DataSettings, Recipe
from wmdd.values import ImageSet, Teacher
from wmdd.warnings import RunWarning


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedRun:
    """A finished run, and the plan of what is to be evaluated beside it."""

    folder: Path
    product: PortableSet
    plan: RunPlan
    record: RunFile
    before: Recipe
    """Settings of the run itself."""
    watcher: Watcher
    fresh: Fresh
    """What is made anew."""

    def distilled(self) -> Result:
        """Return the run's set; its identity is that of its images' files."""
        files = open_product(self.folder / "distilled")
        key = "+".join(file.sha256 for file in files.files if file not in files.epochs)
        return GivenResult(key=key, record=self.product)

    def runner(self, out: str, plan: RunPlan | None = None) -> Runner:
        """Return a runner of the plan, or of another one, whose files are in the folder `out` of the run's.

        What is odd about the images is told.
        """
        plan = plan or self.plan
        make_folder(self.folder / out)
        store = Store(root=Path(self.record.store))
        runner = Runner(recipe=plan.recipe, store=store, out=self.folder / out, watcher=self.watcher, fresh=self.fresh)
        doubts = (*few_test_images(plan.val), *_other_tests(self.folder, plan.val))
        runner.warn((*plan.train.warnings, *plan.val.warnings, *doubts))
        return runner

    def teachers(self) -> tuple[Result, ...]:
        """Return the teachers of the run's set; raises `ConfigError` if one is gone."""
        return _teachers(self.record.store, self.record.teachers)

    def labelling(self, runner: Runner) -> tuple[Result, ...]:
        """Return who labels: the run's networks, unless the plan names others; raises `ConfigError` if one is gone."""
        if self.plan.recipe.relabel.teachers == self.before.relabel.teachers:
            return _teachers(self.record.store, self.record.labelling)
        return labelling_teachers(runner, self.plan, self.teachers())


def open_run(
    run: Path, data: str, changes: Mapping[str, Any], *, fresh: str | None = None, watcher: Watcher | None = None
) -> FinishedRun:
    """Open the run in the folder `run`; `changes` replace its settings, but image size and channels are the set's.

    Raises:
        ArtifactError: there is no set.
        ConfigError: the run is unfinished; a setting does not fit, or would test on other images than those of the run.
        DataError: the data are not those of the set.
    """
    product = load(run)
    record, before = _record(run), complete(read_recipe(run / RECIPE_FILE))
    recipe = before.with_settings(changes)
    _require_same_cut(before.data, recipe.data)
    plan = _plan(recipe, product, data)
    return FinishedRun(
        folder=run,
        product=product,
        plan=plan,
        record=record,
        before=before,
        watcher=watcher or Watcher(),
        fresh=Fresh(stage=fresh),
    )


def _require_same_cut(before: DataSettings, now: DataSettings) -> None:
    """Refuse other development images, or test images in their place: scores of both would share a table."""
    cuts = [(each.development, each.development and each.holdout_seed) for each in (before, now)]
    if cuts[0] == cuts[1]:
        return
    if before.development is None:
        tested, advice = "the test images", "leave data.development out"
    else:
        seed = before.holdout_seed
        tested = f"development images, a share {before.development:g} of the training images (data.holdout_seed {seed})"
        advice = f"keep data.development {before.development:g} and that seed"
    got = "no data.development" if now.development is None else f"data.development {now.development:g}"
    if cuts[0][0] == cuts[1][0]:
        got = f"data.holdout_seed {now.holdout_seed}"
    raise ConfigError(f"the run was tested on {tested}; got {got}; {advice}, or distil again with it")


def _other_tests(run: Path, val: ImageSet) -> list[RunWarning]:
    """Return a warning if the run was tested on other images."""
    before = read_metrics(run).get("data", {})
    if before.get("tested_on", val.fingerprint) == val.fingerprint:
        return []
    text = (
        f"the new students are tested on other images ({len(val)}) than those of the run ({before.get('val')}), or on "
        "the same in other files; compare them with care, or give the data of the run"
    )
    return [RunWarning(kind="other test images", text=text, count=len(val))]


def _record(run: Path) -> RunFile:
    """Return the contents of `run.json` of a finished run."""
    if not (run / RUN_FILE).exists():
        raise ConfigError(
            f"students are compared with random images under the same teacher; got a set in {run}, which is not the "
            "folder of its run; give the run's folder, or train with wmdd.load(PATH).loader()"
        )
    record = read_as(RunFile, run / RUN_FILE, advice=RUN_ADVICE)
    if not record.teachers or not record.labelling or not (run / METRICS_FILE).exists():
        raise ConfigError(
            f"the run is unfinished, or of an older wmdd that did not note its teachers; got {run}; "
            "run `wmdd distill` again"
        )
    return record


def _plan(recipe: Recipe, product: PortableSet, data: str) -> RunPlan:
    """Return the plan of an evaluation on the data that the set was distilled from; the teachers are there already."""
    of_set = {"ipc": product.ipc, "data.image_size": product.image_size, "data.channels": int(product.images.shape[1])}
    recipe = recipe.with_settings({**of_set, "squeeze.checkpoint": None, "squeeze.classes": ()})
    train, val = first_goes_first(this_worker(), lambda: open_data(data, recipe.data))
    if product.classes != train.classes:
        raise DataError(
            f"the set and the data disagree about the classes; got {len(product.classes)} and {len(train.classes)}; "
            "give the data that the set was distilled from"
        )
    return plan_run(recipe, train, val)


def _teachers(store: str, names: Iterable[str] | None) -> tuple[Result, ...]:
    """Return the teachers that `run.json` names in a role, whichever stages made them."""
    folders = [ResultFolder(path=Path(store) / name) for name in names or ()]
    gone = next((folder.path for folder in folders if not folder.finished), None)
    if gone is not None:
        raise ConfigError(f"a teacher of the run is gone; got no {gone}; run `wmdd distill` again")
    return tuple(_given_teacher(folder) for folder in folders)


def _given_teacher(folder: ResultFolder) -> Result:
    manifest = folder.manifest()
    return GivenResult(key=manifest.key, record=folder.read(Teacher), content=manifest.content)
