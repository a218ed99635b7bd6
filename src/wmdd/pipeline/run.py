"""A whole run: data → teacher → distilled set → soft labels → students, with real images beside as references."""

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from wmdd.artifacts.files import make_folder, write_bytes, write_json
from wmdd.artifacts.folder import Store
from wmdd.data.sources.opening import open_data
from wmdd.pipeline.card_facts import card_facts
from wmdd.pipeline.checks import require_fresh, require_stage, stage_names
from wmdd.pipeline.compiling import compiling_ahead, needs_compiling
from wmdd.pipeline.computing import computing
from wmdd.pipeline.doubts import below_random, few_test_images, saturation, seen_development
from wmdd.pipeline.estimate import announce
from wmdd.pipeline.fresh import Fresh
from wmdd.pipeline.group import first_goes_first
from wmdd.pipeline.metrics import joined_scores, product_bytes, run_metrics, with_scores
from wmdd.pipeline.plan import RunPlan, plan_run
from wmdd.pipeline.run_files import METRICS_FILE, RECIPE_FILE, read_metrics
from wmdd.pipeline.run_results import read_result, run_record
from wmdd.pipeline.runner import Runner, Stopped, given_images
from wmdd.pipeline.set_evaluation import evaluate_sets, full_data_scores, labelling_teachers, reference_sets
from wmdd.pipeline.watchers import Watcher
from wmdd.pipeline.workers import this_worker
from wmdd.product.writing import write_product
from wmdd.settings import Recipe
from wmdd.settings.recipe import write_recipe
from wmdd.values import Barycenters, ClassStatistics, DistilledSet, SoftLabels, Teacher
from wmdd.values.showing import short_repr


@dataclass(frozen=True, kw_only=True)
class Run:
    """The outcome of a run.

    Its results are read from the store when they are first asked for. One that the run's method does not make, or that
    the run has not reached, is an `ArtifactError`.
    """

    out: Path
    metrics: dict[str, Any]
    """Contents of `metrics.json`; empty if the run was stopped on purpose before its end, or if this worker is not the
    one that writes them."""

    __repr__ = short_repr

    @classmethod
    def open(cls, folder: str | Path) -> "Run":
        """Return the run that a folder holds, finished or not; raises `ArtifactError` if it holds none."""
        out = Path(folder)
        run_record(out)
        return cls(out=out, metrics=read_metrics(out) if (out / METRICS_FILE).is_file() else {})

    @cached_property
    def teacher(self) -> Teacher:
        """The run's own teacher; `wmdd.models.building.build_teacher` makes a network of it."""
        return read_result(self.out, Teacher, "teacher")

    @cached_property
    def statistics(self) -> ClassStatistics:
        """What the teacher sees of the real images: features `(N, D)`, and moments of BatchNorm inputs by class."""
        return read_result(self.out, ClassStatistics, "statistics")

    @cached_property
    def barycenters(self) -> Barycenters:
        """The atoms `(C, K, D)` of each class and their weights `(C, K)`."""
        return read_result(self.out, Barycenters, "barycenters")

    @cached_property
    def distilled(self) -> DistilledSet:
        """The run's own set, as its method made it; `wmdd.load(run.out)` reads the product, with its loader."""
        return read_result(self.out, DistilledSet, "distilled set")

    @cached_property
    def labels(self) -> SoftLabels:
        """The soft labels of the run's own set, those of the product; each epoch is read when it is used."""
        return read_result(self.out, SoftLabels, "soft labels")


def distill(
    data: str,
    recipe: Recipe,
    *,
    out: Path,
    store: Path,
    until: str | None = None,
    fresh: str | None = None,
    watcher: Watcher | None = None,
    command: str = "",
) -> Run:
    """Distil `data` and evaluate the result beside real images; for the parameters see `wmdd.api.distill`.

    Running it again with the same arguments resumes; finished stages are not repeated.

    Raises:
        WmddError: the input is not usable; the message is one line.
    """
    watcher = watcher or Watcher()
    require_stage(until, recipe)
    names = stage_names(recipe)
    require_fresh(fresh, names, until)
    plan = first_goes_first(this_worker(), lambda: plan_run(recipe, *open_data(data, recipe.data)))
    make_folder(out)
    make_folder(store)
    runner = Runner(
        recipe=plan.recipe,
        store=Store(root=store),
        out=out,
        watcher=watcher,
        until=until,
        later=() if until is None else names[names.index(until) + 1 :],
        fresh=Fresh(stage=fresh),
    )
    if runner.writes:
        write_bytes(out / RECIPE_FILE, write_recipe(plan.recipe).encode())
    try:
        with computing(plan.recipe.threads, watcher):
            if runner.writes:
                announce(plan, runner)
            return Run(out=out, metrics=run_stages(runner, plan, command))
    except Stopped:
        return Run(out=out, metrics={})


def run_stages(runner: Runner, plan: RunPlan, command: str) -> dict[str, Any]:
    """Run all stages and write the run's files; return nothing if another worker writes them."""
    train, val, recipe = given_images(plan.train), given_images(plan.val), plan.recipe
    doubts = (*seen_development(plan.val, recipe.squeeze), *few_test_images(plan.val))
    runner.warn((*plan.train.warnings, *plan.val.warnings, *doubts))
    with compiling_ahead(needed=needs_compiling([plan])):
        teachers = plan.algorithm.teach(runner, train, val, recipe)
    own = plan.algorithm.distill(runner, train, teachers, recipe)
    distilled = [own, *reference_sets(runner, plan, teachers)]
    runner.warn(saturation(own.record, plan.train, plan.method))
    labelling = labelling_teachers(runner, plan, teachers)
    runner.name_roles(sets=distilled, teachers=teachers, labelling=labelling)
    evaluated = evaluate_sets(runner, plan, distilled, labelling)
    runner.warn(below_random(map(asdict, evaluated.scores), plan.method, tested=len(plan.val)))
    full_data = full_data_scores(runner, plan)
    if not runner.writes:
        return {}
    metrics = run_metrics(runner, plan, evaluated, full_data=full_data, command=command)
    product, first = runner.out / "distilled", evaluated.sets[0]
    facts = card_facts(metrics, plan, first)
    write_product(first.distilled.record, first.labels[0].record, product, facts=facts)
    metrics["bytes"] = product_bytes(product, plan.recipe.ipc * len(plan.train.classes))
    metrics = with_scores(metrics, (*joined_scores(runner.out), *metrics["evaluations"]))
    write_json(runner.out / METRICS_FILE, metrics)
    return metrics
