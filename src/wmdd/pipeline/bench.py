"""A table of results: methods x images per class x seeds on one data set, under one teacher and one evaluation.

Every cell is a run with a folder of its own; all share one store, so nothing is computed twice: not the teacher, not
the statistics, not the students of the random images. A cell that fails is a line in its row; the others go on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wmdd.artifacts.files import make_folder, write_bytes
from wmdd.data.sources.opening import open_data
from wmdd.evaluation.references import MULTIPLES
from wmdd.evaluation.rows import BASELINE
from wmdd.methods.algorithm import Work
from wmdd.pipeline.bench_cells import Bench, forget_failures, forget_finished, make_cells
from wmdd.pipeline.bench_losses import Measures, losses_work
from wmdd.pipeline.bench_recipe import BenchRecipe, Cell, cells
from wmdd.pipeline.bench_results import bench_results
from wmdd.pipeline.compiling import compiling_ahead, needs_compiling
from wmdd.pipeline.computing import computing
from wmdd.pipeline.estimate import announce_bench
from wmdd.pipeline.fresh import Fresh
from wmdd.pipeline.group import first_goes_first
from wmdd.pipeline.plan import RunPlan, plan_run
from wmdd.pipeline.pools import with_room
from wmdd.pipeline.runner import Runner, given_images
from wmdd.pipeline.watchers import OnlyNew, Watcher
from wmdd.pipeline.workers import this_worker
from wmdd.settings.recipe import write_recipe
from wmdd.stages.squeeze import SQUEEZE


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRun:
    """What a bench left behind."""

    out: Path
    results: dict[str, Any]
    """Contents of `bench.json`."""


def bench(
    data: str,
    recipe: BenchRecipe,
    *,
    out: Path,
    store: Path,
    fresh: str | None = None,
    watcher: Watcher | None = None,
    command: str = "",
) -> BenchRun:
    """Make every cell of the table, and `bench.json`, which is written anew after each.

    Running it again with the same arguments resumes: finished cells are skipped, failed ones are tried again. For the
    parameters see `wmdd.api.bench`.

    Raises:
        WmddError: the input is not usable, whatever the row; the message is one line.
    """
    shared = recipe.shared
    worker = this_worker()
    base = first_goes_first(worker, lambda: _open(data, recipe, out))
    recipe = recipe.with_(ipcs=tuple(dict.fromkeys(min(ipc, base.recipe.ipc) for ipc in recipe.ipcs)))
    table = cells(recipe)
    make_folder(out)
    make_folder(store)
    multiples = MULTIPLES if recipe.worth else ()
    listener = OnlyNew(watcher or Watcher())
    anew = Fresh(stage=fresh)
    this = Bench(data=data, base=base, out=out, store=store, watcher=listener, fresh=anew, multiples=multiples)
    if fresh is not None:
        forget_finished(this, table)
    runner = this.runner(table[0].recipe, "teacher")
    plans = [(cell, _plan(cell, base)) for cell in table]
    train, val = given_images(base.train), given_images(base.val)
    with computing(shared.threads, listener):
        if worker.first:
            _announce(recipe, base, plans, runner)
        with compiling_ahead(needed=needs_compiling([plan for _, plan in plans if isinstance(plan, RunPlan)])):
            teacher = runner.run(SQUEEZE, train, val, settings=shared.squeeze)
        results = bench_results(recipe, base, runner, teacher, command)
        if recipe.losses:
            this = replace(this, measures=Measures.of(runner, base, teacher))
        with runner.apart():
            make_cells(this, plans, results, teacher)
    return BenchRun(out=out, results=results)


def _open(data: str, recipe: BenchRecipe, out: Path) -> RunPlan:
    """Return the plan of random images at the largest number of images per class; forget which cells failed before."""
    shared = recipe.shared
    train, val = open_data(data, shared.data)
    forget_failures(out)
    return plan_run(shared.with_settings({"ipc": max(recipe.ipcs)}), train, val)


def _announce(
    recipe: BenchRecipe, base: RunPlan, plans: Sequence[tuple[Cell, RunPlan | Exception]], runner: Runner
) -> None:
    """Write the recipe, and tell the watcher what the bench will cost."""
    write_bytes(runner.out.parent / "bench.yaml", write_recipe(recipe).encode())
    further = {"losses": _losses_work(recipe, plans), "random images in growing numbers": _pools_work(recipe, plans)}
    announce_bench(base, plans, runner, further=further)


def _plan(cell: Cell, base: RunPlan) -> RunPlan | Exception:
    """Return the plan of a cell, or the error that its row will show."""
    try:
        return plan_run(cell.recipe, base.train, base.val)
    except Exception as error:  # noqa: BLE001 - a bug in one method must not cost the others' rows
        return error


def _losses_work(recipe: BenchRecipe, plans: Sequence[tuple[Cell, RunPlan | Exception]]) -> list[Work]:
    """Count what measuring the losses of all sets passes through networks; nothing if they are not asked for."""
    sound = [plan for _, plan in plans if isinstance(plan, RunPlan)]
    if not recipe.losses or not sound:
        return []
    images = sum(plan.recipe.ipc * len(plan.train.classes) for plan in sound)
    return losses_work(sound[0], sets=len(sound), images=images)


def _pools_work(recipe: BenchRecipe, plans: Sequence[tuple[Cell, RunPlan | Exception]]) -> list[Work]:
    """Count what students on pools of real images pass through networks; nothing if they are not asked for."""
    beside = [plan for cell, plan in plans if recipe.worth and cell.row == BASELINE and isinstance(plan, RunPlan)]
    return [part for plan in beside for _ in with_room(MULTIPLES, plan)[0] for part in plan.work.pool]
