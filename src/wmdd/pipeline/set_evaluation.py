"""Diagnose and relabel a distilled set and train students on it; train more, later, on a product that is on disk."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from wmdd.artifacts.files import read_json
from wmdd.artifacts.folder import Store
from wmdd.data.loading import require_images
from wmdd.data.sources.opening import open_data
from wmdd.errors import ConfigError, DataError
from wmdd.evaluation.protocols import EvaluationProtocol, find_protocol
from wmdd.methods._method import Result, Teachers, Together, all_teachers
from wmdd.methods._registry import find_method
from wmdd.methods.names import BASELINE
from wmdd.methods.scdd.selfsupervised import SELF_SUPERVISED
from wmdd.pipeline.recipe import Recipe
from wmdd.pipeline.runner import GivenResult, Runner, StoredResult
from wmdd.pipeline.status import RUN_FILE
from wmdd.pipeline.stored_context import Silence, Watcher
from wmdd.product.reading import PortableSet, load
from wmdd.stages.diagnose import DIAGNOSE, DiagnoseSettings
from wmdd.stages.evaluate import EVALUATE
from wmdd.stages.full_data import FULL_DATA, FullDataSettings
from wmdd.stages.relabel import RELABEL
from wmdd.stages.squeeze import SQUEEZE
from wmdd.stages.statistics import STATISTICS
from wmdd.values import DistilledSet, Evaluation, ImageSet, Score

_OWN_PROCEDURES = {"kip": "kernel", "ls": "kernel"}  # until the method's card says it


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A distilled set with its diagnosis, its soft labels and its evaluation."""

    distilled: Any
    diagnosis: StoredResult | None
    """None where no features of the real images were computed."""
    labels: StoredResult
    evaluation: StoredResult


def judge(runner: Runner, result: Any, teacher: Any, tests: Any, further: Sequence[Any] = ()) -> Judged:
    """Relabel the distilled set `result` and train students on it; diagnose it first if the run has statistics.

    The `further` teachers label beside the teacher.
    """
    recipe = runner.recipe
    diagnosis = _diagnosed(runner, result, teacher)
    distilled: DistilledSet = result.record
    protocols = [find_protocol(name) for name in recipe.evaluate.protocols]
    first = next(iter(labelled(protocols)), protocols[0])
    epochs, batch = stored_epochs(recipe), first.batch(distilled.ipc, len(distilled.classes))
    labelling = _together(teacher, further)
    own = _OWN_PROCEDURES.get(distilled.method, "training")
    labels = runner.run(RELABEL, result, labelling, settings=recipe.relabel, epochs=epochs, batch=batch)
    evaluation = runner.run(EVALUATE, result, labels, labelling, tests, settings=recipe.evaluate, own_procedure=own)
    return Judged(distilled=result, diagnosis=diagnosis, labels=labels, evaluation=evaluation)


def further_teachers(runner: Runner, images: Any, tests: Any, teacher: Result) -> list[Result]:
    """Return who labels beside the run's first teacher: its method's others, and networks that are trained as it is."""
    settings = runner.recipe.squeeze.with_(checkpoint=None)
    asked = [
        runner.run(SQUEEZE, images, tests, settings=settings.with_(arch=arch))
        for arch in dict.fromkeys(runner.recipe.relabel.teachers)
    ]
    every = {each.key: each for each in (*all_teachers(teacher), *asked)}
    return [each for key, each in every.items() if key != teacher.key]


def full_data_scores(runner: Runner, images: Any, tests: Any) -> tuple[Score, ...]:
    """Return the scores of students trained on all real images, if the run asks for them: the reference above.

    They are trained as the teacher is, from seeds counted up from its own; the first of its kind is the teacher itself,
    if that was trained here.
    """
    recipe = runner.recipe
    if not recipe.evaluate.full_data:
        return ()
    training = recipe.squeeze.with_(checkpoint=None, pretrained=False)
    scores: list[Score] = []
    for student, seed in product(recipe.evaluate.students, range(recipe.evaluate.seeds)):
        settings = training.with_(arch=student, seed=training.seed + seed)
        trained = runner.run(SQUEEZE, images, tests, settings=settings)
        scores += runner.run(FULL_DATA, trained, tests, settings=FullDataSettings(), seed=seed).record.scores
    return tuple(scores)


def _together(teacher: Any, further: Sequence[Any]) -> Any:
    """Return several teachers as one result, whose record are all of theirs."""
    return Together(parts=(teacher, *further))


def _diagnosed(runner: Runner, result: Any, teacher: Any) -> StoredResult | None:
    """Return the diagnosis of a set; no pass over the real images is made for it."""
    statistics = next((known for known in runner.results if known.stage is STATISTICS), None)
    if statistics is None:
        return None
    return runner.run(DIAGNOSE, result, teacher, statistics, settings=DiagnoseSettings())


def labelled(protocols: Sequence[EvaluationProtocol]) -> list[EvaluationProtocol]:
    """Return the protocols for whose epochs, in whose batches, labels are stored: those that replay them.

    Where teachers are asked online only, it is these protocols: the teacher is not part of the product, so stored
    answers are all that its users have of it. Protocols that ask no teacher need none.
    """
    return [each for each in protocols if each.labels == "stored"] or [
        each for each in protocols if each.labels == "online"
    ]


def stored_epochs(recipe: Recipe) -> int:
    """Return for how many epochs a run stores labels: for the longest of the protocols that need them, or 0."""
    longest = max(
        (each.training.epochs for each in labelled([find_protocol(name) for name in recipe.evaluate.protocols])),
        default=0,
    )
    return (recipe.evaluate.epochs or longest) if longest else 0


def evaluate_product(
    path: Path, data: str, recipe: Recipe, *, store: Path | None = None, watcher: Watcher | None = None
) -> Evaluation:
    """Return the scores of students trained on a run's product, those of random real images beside.

    Args:
        path: folder of a run.
        data: source of the real images.
        recipe: its `evaluate`, `relabel`, `seed`, `device` and `precision` count; image size and channels are the
            set's.
        store: where results are kept; none = the run's own.
        watcher: hears how it goes.

    Raises:
        ArtifactError: there is no product.
        DataError: the data are not those of the set.
    """
    product = load(path)
    run = run_folder(path)
    if not (run / RUN_FILE).exists():
        raise ConfigError(
            f"students are compared with random images under the same teacher; got {path}, which is not in "
            "the folder of its run; give the run's folder, or train with wmdd.load(PATH).loader()"
        )
    known = read_json(run / RUN_FILE)
    recipe = recipe.with_settings(
        {"ipc": product.ipc, "data.image_size": product.image_size, "data.channels": int(product.images.shape[1])}
    )
    train, val = open_data(data, recipe.data)
    _require_same_data(product, train)
    root = Path(known["store"])
    out = run / "evaluations"
    out.mkdir(exist_ok=True)
    runner = Runner(recipe=recipe, store=Store(root=store or root), out=out, watcher=watcher or Silence())
    teacher = _teachers(known, root)
    tests = GivenResult(key=val.fingerprint, record=val)
    ours = GivenResult(key=_product_key(run), record=product)
    images = GivenResult(key=train.fingerprint, record=train)
    random = find_method(BASELINE).distill(runner, images, teacher, recipe)
    further = further_teachers(runner, images, tests, teacher)
    judged = [judge(runner, result, teacher, tests, further) for result in (ours, random)]
    return Evaluation(scores=tuple(score for each in judged for score in each.evaluation.record.scores))


def run_folder(path: Path) -> Path:
    """Return the folder of a run, given that or the product in it."""
    return path.parent if path.name == "distilled" else path


def _require_same_data(product: PortableSet, train: ImageSet) -> None:
    """Refuse data with other classes than the set's."""
    if product.classes != train.classes:
        raise DataError(
            f"the set and the data disagree about the classes; got {len(product.classes)} and {len(train.classes)}; "
            "give the data that the set was distilled from"
        )
    require_images(train, product.ipc)


def _teachers(known: dict[str, Any], root: Path) -> Teachers:
    """Return the teachers who labelled a run's product, its own in front, squeezed with labels or without.

    Raises:
        ConfigError: one of them is gone, or what they said is.
    """
    stages = {stage.name: stage for stage in (SQUEEZE, SELF_SUPERVISED, RELABEL)}
    made: dict[str, StoredResult] = {}
    for stage, name in ((stages[row["stage"]], row["folder"]) for row in known["results"] if row["stage"] in stages):
        key = str(name).rpartition("-")[2]
        made[key] = StoredResult(key, stage, Store(root=root).folder(stage.name, key))
    labels = next((result for result in made.values() if result.stage is RELABEL), None)
    gone = [result.folder.path for result in made.values() if not result.folder.finished]
    if labels is None or gone:
        what = gone[0] if gone else "no labels"
        raise ConfigError(f"the run's teacher, or what it said, is gone; got {what}; run `wmdd distill` again")
    return Teachers(members=tuple(made[key] for key in Together.keys(labels.folder.manifest()["inputs"][1])))


def _product_key(run: Path) -> str:
    """Return the identity of a run's product: that of its images' files."""
    manifest = read_json(run / "distilled" / "manifest.json")
    return "+".join(str(entry["sha256"]) for entry in manifest["files"] if not entry["path"].startswith("fkd/"))
