"""A whole run: data → teacher → distilled set → soft labels → students, the random baseline always beside."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from wmdd.artifacts.files import make_folder, write_bytes, write_json, writing
from wmdd.artifacts.folder import Store
from wmdd.data.loading import require_images
from wmdd.data.sources.opening import open_data
from wmdd.evaluation.protocols import find_protocol
from wmdd.methods._loading import check_options
from wmdd.methods._registry import find_method
from wmdd.models import build_model, load_checkpoint, require_batchnorm
from wmdd.pipeline.estimate import announce
from wmdd.pipeline.metrics import product_bytes, product_facts, run_metrics
from wmdd.pipeline.recipe import Recipe, write_recipe
from wmdd.pipeline.runner import GivenResult, Runner, Stopped
from wmdd.pipeline.set_evaluation import BASELINE, full_data_scores, further_teachers, judge
from wmdd.pipeline.watchers import Silence, Watcher
from wmdd.product.writing import write_product
from wmdd.stages.squeeze import teacher_spec
from wmdd.values import ImageSet

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
    watcher = watcher or Silence()
    train, val = open_data(data, recipe.data)
    check_run(train, recipe)
    make_folder(out)
    make_folder(store)
    write_bytes(out / "recipe.yaml", write_recipe(recipe).encode())
    runner = Runner(recipe=recipe, store=Store(root=store), out=out, watcher=watcher, until=until)
    announce(train, recipe, runner.device, runner.precision, watcher)
    try:
        metrics = run_stages(runner, train, val, command)
    except Stopped:
        return Run(out=out, metrics={})
    return Run(out=out, metrics=metrics)


def check_run(train: ImageSet, recipe: Recipe) -> None:
    """Find every mistake that can be found before hours of work."""
    method = find_method(recipe.method)
    check_options(method, recipe.options)
    require_images(train, recipe.ipc)
    for protocol in recipe.evaluate.protocols:
        find_protocol(protocol)
    for arch in (*recipe.evaluate.students, *recipe.relabel.teachers, *method.networks(recipe)):
        teacher_spec(train, recipe.squeeze.with_(arch=arch))  # students have the teacher's stem
    spec = teacher_spec(train, recipe.squeeze)
    if method.needs_batchnorm:
        with torch.random.fork_rng(devices=[]):
            require_batchnorm(build_model(spec), spec.arch)
    if recipe.squeeze.checkpoint is not None:
        load_checkpoint(recipe.squeeze.checkpoint, spec, train.classes)


def run_stages(runner: Runner, train: ImageSet, val: ImageSet, command: str) -> dict[str, Any]:
    """Run everything and write what the run leaves behind."""
    recipe = runner.recipe
    images = GivenResult(key=train.fingerprint, record=train)
    tests = GivenResult(key=val.fingerprint, record=val)
    teacher = find_method(recipe.method).teach(runner, images, tests, recipe)
    sets = [
        find_method(name).distill(runner, images, teacher, recipe) for name in dict.fromkeys((recipe.method, BASELINE))
    ]
    further = further_teachers(runner, images, tests, teacher)
    judged = [judge(runner, result, teacher, tests, further) for result in sets]
    full_data = full_data_scores(runner, images, tests)
    metrics = run_metrics(runner, (train, val), teacher, judged, command, full_data=full_data)
    product = judged[0]
    place, facts = runner.out / "distilled", product_facts(metrics, recipe)
    with writing(place):
        write_product(product.distilled.record, product.labels.record, place, facts=facts)
    metrics["bytes"] = product_bytes(place)
    write_json(runner.out / "metrics.json", metrics)
    return metrics
