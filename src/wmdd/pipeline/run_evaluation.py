"""Train further students on the set of a finished run, and on its references; their scores join the run's."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wmdd.artifacts.files import make_folder
from wmdd.artifacts.folder import ResultFolder, Store
from wmdd.artifacts.parsing import read_as
from wmdd.data.sources.opening import open_data
from wmdd.errors import ConfigError, DataError
from wmdd.methods.algorithm import Result
from wmdd.methods.catalogue import complete, read_recipe
from wmdd.pipeline.doubts import below_random, few_test_images
from wmdd.pipeline.metrics import join_scores
from wmdd.pipeline.plan import RunPlan, plan_run
from wmdd.pipeline.run_files import METRICS_FILE, RUN_ADVICE, RUN_FILE, RunFile, read_metrics
from wmdd.pipeline.runner import GivenResult, Runner
from wmdd.pipeline.set_evaluation import evaluate_sets, labelling_teachers, reference_sets
from wmdd.pipeline.watchers import Watcher
from wmdd.product.manifest import open_product
from wmdd.product.reading import PortableSet, load
from wmdd.settings import DataSettings, Recipe
from wmdd.values import Evaluation, ImageSet, Teacher
from wmdd.warnings import RunWarning


def evaluate_run(run: Path, data: str, changes: Mapping[str, Any], *, watcher: Watcher | None = None) -> Evaluation:
    """Return the scores of students trained on a run's set, and of others on its references under the same teachers.

    They join `metrics.json`; a score of the same set, student, protocol, labels and seed replaces the older one. `run`
    is the run's folder; `changes` replace its settings, but image size and channels are the set's.

    Raises:
        ArtifactError: there is no set.
        ConfigError: the run is unfinished, or a teacher of it is gone; a setting does not fit, or would test on other
            images than those of the run.
        DataError: the data are not those of the set.
    """
    product = load(run)
    record, before = _record(run), complete(read_recipe(run / "recipe.yaml"))
    recipe = before.with_settings(changes)
    _require_same_cut(before.data, recipe.data)
    plan = _plan(recipe, product, data)
    out = run / "evaluations"
    make_folder(out)
    runner = Runner(recipe=plan.recipe, store=Store(root=Path(record.store)), out=out, watcher=watcher or Watcher())
    runner.warn((*plan.train.warnings, *plan.val.warnings, *few_test_images(plan.val), *_other_tests(run, plan.val)))
    teachers = _teachers(record.store, record.teachers)
    if plan.recipe.relabel.teachers == before.relabel.teachers:
        labelling = _teachers(record.store, record.labelling)
    else:
        labelling = labelling_teachers(runner, plan, teachers)
    sets: list[Result] = [GivenResult(key=_product_key(run), record=product), *reference_sets(runner, plan, teachers)]
    scores = evaluate_sets(runner, plan, sets, labelling).scores
    rows = [asdict(score) for score in scores]
    runner.warn(below_random(rows, plan.method, tested=len(plan.val)))
    join_scores(run, rows, runner.warnings)
    return Evaluation(scores=scores)


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
    train, val = open_data(data, recipe.data)
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
    return tuple(GivenResult(key=folder.manifest().key, record=folder.read(Teacher)) for folder in folders)


def _product_key(run: Path) -> str:
    """Return the identity of a run's product: that of its images' files."""
    product = open_product(run / "distilled")
    return "+".join(file.sha256 for file in product.files if file not in product.epochs)
