"""Diagnose and relabel a run's set and its references, and train students on them and on all real images."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product

from wmdd.evaluation.real_names import pool_set
from wmdd.evaluation.rows import BASELINE
from wmdd.methods.algorithm import Result, further_teachers
from wmdd.methods.catalogue import find_method
from wmdd.pipeline.obtaining import StoredResult
from wmdd.pipeline.plan import RunPlan
from wmdd.pipeline.runner import Runner, given_images
from wmdd.settings import BarycenterSettings, NoSettings, Recipe, SqueezeSettings
from wmdd.stages.diagnose import DIAGNOSE
from wmdd.stages.evaluate import EVALUATE
from wmdd.stages.full_data import FULL_DATA
from wmdd.stages.pool import POOL
from wmdd.stages.relabel import RELABEL
from wmdd.stages.squeeze import SQUEEZE
from wmdd.stages.statistics import STATISTICS
from wmdd.values import Score


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatedSet:
    """A distilled set with its diagnosis, its soft labels and its evaluation."""

    distilled: Result
    teachers: tuple[Result, ...]
    """All that label, the run's own in front."""
    diagnosis: StoredResult | None
    """None if no features of the real images were computed."""
    labels: tuple[StoredResult, ...]
    """One for each batch in which views were drawn, those of the product in front."""
    evaluation: StoredResult


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatedSets:
    """A run's set and what stands beside it, evaluated alike."""

    sets: tuple[EvaluatedSet, ...]
    """The run's own in front."""
    ceiling: StoredResult | None
    """The evaluation of all real images, in as many steps; None if it was not wanted."""

    @property
    def scores(self) -> tuple[Score, ...]:
        """Those of all, the run's own set in front and the ceiling last."""
        results = [*(each.evaluation for each in self.sets), *([self.ceiling] if self.ceiling else [])]
        return tuple(score for result in results for score in result.record.scores)


def reference_sets(runner: Runner, plan: RunPlan, teachers: tuple[Result, ...]) -> list[Result]:
    """Return the sets of real images that stand beside the run's set."""
    train = given_images(plan.train)
    return [each.algorithm.distill(runner, train, teachers, each.recipe) for each in plan.references]


def evaluate_sets(
    runner: Runner, plan: RunPlan, distilled: Sequence[Result], teachers: tuple[Result, ...]
) -> EvaluatedSets:
    """Evaluate the run's set and its references, random real images among them, and the ceiling if it is wanted."""
    sets = tuple(evaluate_set(runner, plan, each, teachers) for each in distilled)
    return EvaluatedSets(sets=sets, ceiling=evaluate_pool(runner, plan, sets, teachers) if plan.ceiling else None)


def evaluate_pool(
    runner: Runner,
    plan: RunPlan,
    sets: Sequence[EvaluatedSet],
    teachers: tuple[Result, ...],
    *,
    per_class: int | None = None,
) -> StoredResult:
    """Train students on a pool of `per_class` random real images a class, or on all of them; see `stages/pool.py`.

    Views of stored labels are taken from those of random images among the `sets`, so that the result is the same beside
    any method.
    """
    random = next(each for each in sets if each.distilled.record.method == BASELINE)
    return runner.run(
        POOL,
        given_images(plan.train),
        random.labels,
        teachers,
        given_images(plan.val),
        settings=plan.recipe.evaluate,
        of=pool_set(per_class, plan.recipe.ipc),
        ipc=plan.recipe.ipc,
        per_class=per_class,
    )


def evaluate_set(runner: Runner, plan: RunPlan, distilled: Result, teachers: tuple[Result, ...]) -> EvaluatedSet:
    """Relabel a distilled set and train students on it; diagnose it first if the run has statistics."""
    recipe, method = plan.recipe, distilled.record.method
    diagnosis = _diagnosed(runner, recipe, distilled, given_images(plan.train), teachers[0])
    labels = tuple(
        runner.run(RELABEL, distilled, teachers, settings=recipe.relabel, of=method, **asdict(each))
        for each in plan.labelling
    )
    evaluation = runner.run(
        EVALUATE,
        distilled,
        labels,
        teachers,
        given_images(plan.val),
        settings=recipe.evaluate,
        of=method,
        own_procedure=find_method(method).own_procedure,
    )
    return EvaluatedSet(
        distilled=distilled, teachers=teachers, diagnosis=diagnosis, labels=labels, evaluation=evaluation
    )


def labelling_teachers(runner: Runner, plan: RunPlan, teachers: tuple[Result, ...]) -> tuple[Result, ...]:
    """Return the run's teachers and the networks of `relabel.teachers`, trained as the first is: all of them label."""
    recipe, train, val = plan.recipe, given_images(plan.train), given_images(plan.val)
    further = further_teachers(runner, train, val, recipe, recipe.relabel.teachers)
    return tuple({each.key: each for each in (*teachers, *further)}.values())


def full_data_scores(runner: Runner, plan: RunPlan) -> tuple[Score, ...]:
    """Return the scores of students trained on all real images, if `evaluate.full_data` is set: the upper reference.

    They are trained as the teacher is, from its seed and those after it; the first of the teacher's architecture is the
    teacher itself, if that was trained here.
    """
    recipe, train, val = plan.recipe, given_images(plan.train), given_images(plan.val)
    if not recipe.evaluate.full_data:
        return ()
    training = recipe.squeeze.without_checkpoint().with_(pretrained=False)
    students = [
        (training.with_(arch=student, seed=training.seed + seed), seed)
        for student, seed in product(recipe.evaluate.students, range(recipe.evaluate.seeds))
    ]
    if len(students) < runner.worker.size:
        return _full_data_of(runner, train, val, students)
    with runner.apart():  # one student a worker
        for settings, _ in () if runner.worker.alone else students:
            runner.take(SQUEEZE, train, val, settings=settings, of=_name_of(settings))
        return _full_data_of(runner, train, val, students)


def _full_data_of(
    runner: Runner, train: Result, val: Result, students: Sequence[tuple[SqueezeSettings, int]]
) -> tuple[Score, ...]:
    """Return the scores of students that are trained as teachers are, given their settings and their numbers."""
    scores: list[Score] = []
    for settings, seed in students:
        of = _name_of(settings)
        trained = runner.run(SQUEEZE, train, val, settings=settings, of=of)
        scores += runner.run(FULL_DATA, trained, val, settings=NoSettings(), of=of, seed=seed).record.scores
    return tuple(scores)


def _name_of(student: SqueezeSettings) -> str:
    return f"{student.arch} seed {student.seed}"


def _diagnosed(
    runner: Runner, recipe: Recipe, distilled: Result, train: Result, teacher: Result
) -> StoredResult | None:
    """Return the diagnosis of a set if the run has statistics of all real images; no pass over them is made for it.

    Beside it stands k-means with as many starts as the run's barycenters have.
    """
    made = (result for result in runner.results if result.stage is STATISTICS)
    statistics = next((result for result in made if train.key in result.folder.manifest().inputs), None)
    of = distilled.record.method
    summary = next((each for _, each in recipe if isinstance(each, BarycenterSettings)), BarycenterSettings())
    return statistics and runner.run(
        DIAGNOSE, distilled, teacher, statistics, settings=NoSettings(), of=of, starts=summary.starts
    )
