"""Random real images in growing numbers under the rules of a set: the curve from which its exchange rate is read."""

from collections.abc import Sequence

from wmdd.data.loading import class_counts
from wmdd.methods.algorithm import Result
from wmdd.pipeline.plan import RunPlan
from wmdd.pipeline.runner import Runner
from wmdd.pipeline.set_evaluation import evaluate_pool, evaluate_set
from wmdd.values import Score
from wmdd.warnings import RunWarning


def with_room(multiples: Sequence[int], plan: RunPlan) -> tuple[tuple[int, ...], list[RunWarning]]:
    """Return those multiples of the set's images that every class has, in rising order; and a warning of the others."""
    counts = class_counts(plan.train)
    possible = tuple(each for each in sorted({*multiples}) if each * plan.recipe.ipc <= min(counts))
    short = sorted({*multiples} - {*possible})
    if not short:
        return possible, []
    text = (
        f"no pools of {', '.join(f'×{multiple}' for multiple in short)} random real images beside {plan.recipe.ipc} a "
        f"class, because class {plan.train.classes[counts.index(min(counts))]!r} has {min(counts)} for training"
    )
    return possible, [RunWarning(kind="fewer pools", text=text, count=len(short))]


def random_scores(
    runner: Runner, plan: RunPlan, random: Result, teachers: tuple[Result, ...], multiples: Sequence[int]
) -> tuple[tuple[Score, ...], tuple[Score, ...]]:
    """Return the scores of random real images of the run's seed, and of its pools of so many times more.

    Args:
        runner: runs the stages.
        plan: of the run beside whose set they stand.
        random: the set of method `random`, of the run's seed.
        teachers: all who label.
        multiples: sizes of the pools, in units of the set's.
    """
    own = evaluate_set(runner, plan, random, teachers)
    pools = [
        evaluate_pool(runner, plan, (own,), teachers, per_class=multiple * plan.recipe.ipc) for multiple in multiples
    ]
    return own.evaluation.record.scores, tuple(score for pool in pools for score in pool.record.scores)
