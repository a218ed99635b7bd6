"""Train further students on the set of a finished run, and on its references; their scores join the run's."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wmdd.pipeline.computing import computing
from wmdd.pipeline.doubts import below_random
from wmdd.pipeline.finished_run import open_run
from wmdd.pipeline.metrics import join_scores
from wmdd.pipeline.set_evaluation import evaluate_sets, reference_sets
from wmdd.pipeline.watchers import Watcher
from wmdd.values import Evaluation


def evaluate_run(
    run: Path, data: str, changes: Mapping[str, Any], *, fresh: str | None = None, watcher: Watcher | None = None
) -> Evaluation:
    """Return the scores of students trained on a run's set, and of others on its references under the same teachers.

    They join `metrics.json`; a score of the same set, student, protocol, labels and seeds replaces the older one. `run`
    is the run's folder; `changes` replace its settings, but image size and channels are the set's. Results of the
    stage `fresh` are made anew.

    Raises:
        WmddError: as `open_run`; or a teacher of the run is gone.
    """
    finished = open_run(run, data, changes, fresh=fresh, watcher=watcher)
    plan, runner = finished.plan, finished.runner("evaluations")
    teachers, labelling = finished.teachers(), finished.labelling(runner)
    with computing(plan.recipe.threads, finished.watcher):
        sets = [finished.distilled(), *reference_sets(runner, plan, teachers)]
        scores = evaluate_sets(runner, plan, sets, labelling).scores
    rows = [asdict(score) for score in scores]
    runner.warn(below_random(rows, plan.method, tested=len(plan.val)))
    if runner.writes:
        join_scores(run, rows, runner.warnings)
    return Evaluation(scores=scores)
