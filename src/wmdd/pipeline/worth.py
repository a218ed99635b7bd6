"""What the set of a finished run is worth: students of random real images in growing numbers, under the same rules.

Random images are drawn anew from several seeds: the run's own and those after it. Their scores join the run's, as sets
`random` (as many as the set has) and `random ×n`; the exchange rate follows from them (`wmdd.evaluation.comparison`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wmdd.errors import ConfigError, DataError
from wmdd.evaluation.comparison import Comparison, blocks, comparisons
from wmdd.evaluation.rows import BASELINE, conditions_of
from wmdd.pipeline.computing import computing
from wmdd.pipeline.estimate import announce_pools
from wmdd.pipeline.finished_run import FinishedRun, open_run
from wmdd.pipeline.metrics import join_scores, student_of
from wmdd.pipeline.plan import RunPlan, plan_run
from wmdd.pipeline.pools import random_scores, with_room
from wmdd.pipeline.run_files import read_metrics
from wmdd.pipeline.runner import Runner
from wmdd.pipeline.set_evaluation import evaluate_set, reference_sets
from wmdd.pipeline.watchers import OnlyNew, Watcher
from wmdd.values import Score


def measure_worth(
    run: Path,
    data: str,
    changes: Mapping[str, Any],
    *,
    multiples: Sequence[int],
    draws: int,
    fresh: str | None = None,
    watcher: Watcher | None = None,
) -> tuple[Comparison, ...]:
    """Return the run's set beside random real images in growing numbers, for each student, protocol and kind of labels.

    Scores join `metrics.json` after each draw. The set's own students are trained only where the run has none under
    these conditions. Stopped, the same call goes on; nothing that is finished is repeated.

    Args:
        run: folder of the run.
        data: source of the real images that the set was distilled from.
        changes: settings that replace those of the run.
        multiples: numbers of random images, in units of the set's, beside that number itself; those for which a class
            has too few images are left out with a warning.
        draws: how often random images are drawn: from the run's seed and those after it.
        fresh: stage whose results are made anew.
        watcher: follows the progress.

    Raises:
        WmddError: as `open_run`; or a teacher of the run is gone, its set is of random images itself, a class has
            fewer images than the smallest multiple needs, or no protocol trains students.
    """
    changes = {**changes, "evaluate.references": (BASELINE,)}
    finished = open_run(run, data, changes, fresh=fresh, watcher=OnlyNew(watcher or Watcher()))
    plan, runner = finished.plan, finished.runner("worth")
    _require_curve(plan)
    possible, left_out = with_room(multiples, plan)
    if not possible:
        raise DataError(f"worth: {left_out[0].text}; give fewer (--multiples), or a set of fewer images a class")
    runner.warn(left_out)
    with computing(plan.recipe.threads, finished.watcher):
        if runner.writes:
            announce_pools(plan, runner, pools=len(possible), draws=draws)
        made = list(_draw(finished, plan, runner, possible))
        for seed in range(plan.recipe.seed + 1, plan.recipe.seed + draws):
            drawn = plan_run(plan.recipe.with_settings({"seed": seed}), plan.train, plan.val)
            made += _draw(finished, drawn, finished.runner("worth", drawn), possible)
    asked = {conditions_of(asdict(score)) for score in made}
    metrics = read_metrics(run)
    found = comparisons(blocks(metrics["evaluations"], len(plan.val)), plan.method.name)
    return tuple(
        pair
        for pair in found
        if pair.row.conditions in asked and pair.worth is not None and pair.worth.rate is not None
    )


def _draw(finished: FinishedRun, plan: RunPlan, runner: Runner, multiples: Sequence[int]) -> tuple[Score, ...]:
    """Evaluate one draw of random images and its pools, and the run's own set where it lacks students beside them."""
    teachers = finished.labelling(runner)
    (random,) = reference_sets(runner, plan, finished.teachers())
    beside, pools = random_scores(runner, plan, random, teachers, multiples)
    scores = (*beside, *pools)
    if plan is finished.plan and _lacks(finished.folder, plan.method.name, beside):
        scores = (*evaluate_set(runner, plan, finished.distilled(), teachers).evaluation.record.scores, *scores)
    if runner.writes:
        join_scores(finished.folder, map(asdict, scores), runner.warnings)
    return scores


def _lacks(run: Path, method: str, beside: Iterable[Score]) -> bool:
    """Return whether the run has no score of its own set for one of the students of random images."""
    known = {student_of(row) for row in read_metrics(run).get("evaluations", ())}
    return any(student_of({**asdict(score), "set": method}) not in known for score in beside)


def _require_curve(plan: RunPlan) -> None:
    """Refuse a run beside whose set no curve can stand."""
    if plan.method.name == BASELINE:
        raise ConfigError(
            "worth: one random image is worth one; got a run of method random; give the run of another method"
        )
    kinds = [plan.method.own_procedure if each.procedure == "own" else each.procedure for each in plan.protocols]
    if "training" not in kinds:
        raise ConfigError(
            f"worth: random images are compared under protocols that train students; got {plan.protocols[0].name}; "
            "give another one, such as --protocols wmdd"
        )
