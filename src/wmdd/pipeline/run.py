"""A whole run: data → teacher → distilled set → soft labels → students, the random baseline always beside."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wmdd.artifacts.files import make_folder, write_bytes, write_json, writing
from wmdd.artifacts.folder import Store
from wmdd.data.sources.opening import open_data
from wmdd.evaluation.comparison import BASELINE
from wmdd.pipeline.estimate import announce
from wmdd.pipeline.metrics import joined_scores, product_bytes, product_facts, run_metrics, with_scores
from wmdd.pipeline.plan import RunPlan, plan_run
from wmdd.pipeline.runner import Runner, Stopped, given_images
from wmdd.pipeline.set_evaluation import evaluate_set, full_data_scores, labelling_teachers
from wmdd.pipeline.status import METRICS_FILE
from wmdd.pipeline.watchers import Watcher
from wmdd.product.writing import write_product
from wmdd.settings import Recipe
from wmdd.settings.recipe import write_recipe

DEFAULT_STORE = Path("runs/.store")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a run left behind."""

    out: Path
    metrics: dict[str, Any]
    """Contents of `metrics.json`; empty if the run was stopped on purpose before its end."""


def distill(
    data: str,
    recipe: Recipe,
    *,
    out: Path,
    store: Path = DEFAULT_STORE,
    until: str | None = None,
    watcher: Watcher | None = None,
    command: str = "",
) -> Run:
    """Distil `data` and evaluate the result beside random real images.

    Running it again with the same arguments resumes; finished stages are not repeated.

    Args:
        data: source of the images, see `wmdd.data.sources.opening.open_data`.
        recipe: all settings.
        out: folder that the run leaves its files in.
        store: folder of stage results, shared between runs.
        until: stop after this stage.
        watcher: hears how the run goes.
        command: as typed, for the record.

    Raises:
        WmddError: the input is not usable; the message is one line.
    """
    watcher = watcher or Watcher()
    plan = plan_run(recipe, *open_data(data, recipe.data))
    make_folder(out)
    make_folder(store)
    write_bytes(out / "recipe.yaml", write_recipe(recipe).encode())
    runner = Runner(recipe=recipe, store=Store(root=store), out=out, watcher=watcher, until=until)
    announce(plan, runner)
    try:
        metrics = run_stages(runner, plan, command)
    except Stopped:
        return Run(out=out, metrics={})
    return Run(out=out, metrics=metrics)


def run_stages(runner: Runner, plan: RunPlan, command: str) -> dict[str, Any]:
    """Run everything and write what the run leaves behind."""
    train, val, recipe = given_images(plan.train), given_images(plan.val), plan.recipe
    teachers = plan.algorithm.teach(runner, train, val, recipe)
    makers = {plan.method.name: plan.algorithm, BASELINE: plan.baseline}.values()
    distilled = [maker.distill(runner, train, teachers, recipe) for maker in makers]
    labelling = labelling_teachers(runner, plan, teachers)
    runner.name_roles(sets=distilled, teachers=teachers, labelling=labelling)
    sets = [evaluate_set(runner, plan, each, labelling) for each in distilled]
    metrics = run_metrics(runner, plan, sets, full_data=full_data_scores(runner, plan), command=command)
    place, facts = runner.out / "distilled", product_facts(metrics, plan)
    with writing(place):
        write_product(sets[0].distilled.record, sets[0].labels.record, place, facts=facts)
    metrics["bytes"] = product_bytes(place)
    metrics = with_scores(metrics, (*joined_scores(runner.out), *metrics["evaluations"]))
    write_json(runner.out / METRICS_FILE, metrics)
    return metrics
