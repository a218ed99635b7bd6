"""A table of results: methods x images per class x seeds on one data set, under one teacher and one evaluation.

Every cell is a run with a folder of its own; all share one store, so nothing is computed twice: not the teacher, not
the statistics, not the students of the random images. A cell that fails is a line in its row; the others go on.
"""

import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from wmdd.artifacts.files import make_folder, write_bytes, write_json, writing
from wmdd.artifacts.folder import Store
from wmdd.artifacts.keys import result_key
from wmdd.artifacts.parsing import read_as
from wmdd.data.sources.opening import open_data
from wmdd.errors import ArtifactError, WmddError
from wmdd.evaluation.references import MULTIPLES
from wmdd.evaluation.rows import BASELINE
from wmdd.methods.algorithm import Work
from wmdd.pipeline.bench_losses import Measures, losses_work
from wmdd.pipeline.bench_recipe import BenchRecipe, Cell, cells
from wmdd.pipeline.bench_results import bench_results, cell_entry, finished_entry
from wmdd.pipeline.estimate import announce_bench, span
from wmdd.pipeline.metrics import with_scores
from wmdd.pipeline.obtaining import StoredResult
from wmdd.pipeline.plan import RunPlan, plan_run
from wmdd.pipeline.pools import random_scores, with_room
from wmdd.pipeline.provenance import versions
from wmdd.pipeline.run import run_stages
from wmdd.pipeline.run_files import BENCH_FILE, BENCH_SCHEMA, METRICS_FILE, read_metrics
from wmdd.pipeline.runner import Runner, given_images
from wmdd.pipeline.watchers import OnlyNew, Watcher
from wmdd.settings import Recipe
from wmdd.settings.recipe import write_recipe
from wmdd.stages.pool import POOL
from wmdd.stages.squeeze import SQUEEZE

_DONE = "cell.json"
"""Written last into a cell's folder; holds the identity of everything that the cell was made from."""
_TRACEBACK = "error.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRun:
    """What a bench left behind."""

    out: Path
    results: dict[str, Any]
    """Contents of `bench.json`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bench:
    """What all cells have in common."""

    data: str
    base: RunPlan
    """The row of random images at the largest number of images per class: what no row can use is refused in it."""
    out: Path
    store: Path
    watcher: Watcher
    measures: Measures | None = None
    """How the losses of the sets are measured; None where they are not asked for."""
    multiples: tuple[int, ...] = ()
    """Numbers of random real images on which students are trained, in units of a set's, beside that number itself."""

    def runner(self, recipe: Recipe, folder: str) -> Runner:
        """Return a runner that leaves its files in a folder of the bench's."""
        make_folder(self.out / folder)
        return Runner(recipe=recipe, store=Store(root=self.store), out=self.out / folder, watcher=self.watcher)

    def identity(self, cell: Cell) -> dict[str, str]:
        """Return a hash of everything that a cell is made from, and what its losses depend on beside, if asked for."""
        code = {name: versions().get(name, "") for name in ("wmdd", "commit")}
        images = [self.base.train.fingerprint, self.base.val.fingerprint]
        made_from = {"recipe": cell.recipe.counted(), "code": code}
        measured = {} if self.measures is None else {"losses": self.measures.identity}
        pools = f"{POOL.version} {self.pools_of(cell)}" if self.pools_of(cell) else ""
        beside = {"pools": pools} if pools else {}
        return {"identity": result_key("cell", BENCH_SCHEMA, made_from, images), **measured, **beside}

    def pools_of(self, cell: Cell) -> tuple[int, ...]:
        """Return the pools that are made in a cell: they depend on no method, so random images have them for all."""
        return self.multiples if cell.row == BASELINE else ()


def bench(
    data: str,
    recipe: BenchRecipe,
    *,
    out: Path,
    store: Path,
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
    train, val = open_data(data, shared.data)
    base = plan_run(shared.with_settings({"ipc": max(recipe.ipcs)}), train, val)
    recipe = recipe.with_(ipcs=tuple(dict.fromkeys(min(ipc, base.recipe.ipc) for ipc in recipe.ipcs)))
    table = cells(recipe)
    make_folder(out)
    make_folder(store)
    write_bytes(out / "bench.yaml", write_recipe(recipe).encode())
    multiples = MULTIPLES if recipe.worth else ()
    listener = OnlyNew(watcher or Watcher())
    this = _Bench(data=data, base=base, out=out, store=store, watcher=listener, multiples=multiples)
    runner = this.runner(table[0].recipe, "teacher")
    plans = [(cell, _plan(cell, base)) for cell in table]
    further = {"losses": _losses_work(recipe, plans), "random images in growing numbers": _pools_work(recipe, plans)}
    announce_bench(base, plans, runner, further=further)
    teacher = runner.run(SQUEEZE, given_images(train), given_images(val), settings=shared.squeeze)
    results = bench_results(recipe, base, runner, teacher, command)
    if recipe.losses:
        this = replace(this, measures=Measures.of(runner, base, teacher))
    _make_all(this, plans, results, teacher)
    return BenchRun(out=out, results=results)


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


def _make_all(
    bench: _Bench, plans: Sequence[tuple[Cell, RunPlan | Exception]], results: dict[str, Any], teacher: StoredResult
) -> None:
    """Make one cell after the other; `bench.json` is up to date before each."""
    results["cells"] = entries = [cell_entry(cell, "waiting") for cell, _ in plans]
    began, made = time.monotonic(), 0
    for number, (cell, plan) in enumerate(plans):
        write_json(bench.out / BENCH_FILE, results)
        if bench.watcher.stop_asked():
            raise KeyboardInterrupt
        title = f"[{number + 1} of {len(plans)}] {cell.row}, IPC {cell.recipe.ipc}, seed {cell.recipe.seed}"
        metrics = _finished(bench, cell)
        if metrics is not None:
            bench.watcher.note(f"{title}: found finished")
            entries[number] = finished_entry(cell, metrics, teacher)
            continue
        left = f", about {span((time.monotonic() - began) / made * (len(plans) - number))} left" if made else ""
        bench.watcher.note(f"{title}{left}")
        entries[number] = _attempt(bench, cell, plan, teacher)
        made += 1
    write_json(bench.out / BENCH_FILE, results)


def _finished(bench: _Bench, cell: Cell) -> dict[str, Any] | None:
    """Return the metrics of a cell that was finished from the same settings, data and code before.

    What is damaged is put together again from the store, where nothing is repeated.
    """
    folder = bench.out / cell.folder
    try:
        done = read_as(dict[str, str], folder / _DONE)
        return read_metrics(folder) if done.items() >= bench.identity(cell).items() else None
    except ArtifactError:
        return None


def _attempt(bench: _Bench, cell: Cell, plan: RunPlan | Exception, teacher: StoredResult) -> dict[str, Any]:
    """Make a cell; whatever fails in it is kept as one line, with the traceback in its folder if it is a bug."""
    try:
        return finished_entry(cell, _make(bench, cell, plan), teacher)
    except WmddError as error:
        reason = " ".join(str(error).split())
    except Exception as error:  # noqa: BLE001 - a bug, or no memory left, in one method must not cost the others' rows
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        write_bytes(bench.out / cell.folder / _TRACEBACK, traceback.format_exc().encode())
    bench.watcher.note(f"{cell.name} failed: {reason}")
    return cell_entry(cell, "failed", error=reason)


def _make(bench: _Bench, cell: Cell, plan: RunPlan | Exception) -> dict[str, Any]:
    """Run a cell from its data to its metrics."""
    runner = bench.runner(cell.recipe, cell.folder)
    with writing(runner.out / _TRACEBACK):
        (runner.out / _TRACEBACK).unlink(missing_ok=True)
    if isinstance(plan, Exception):
        raise plan
    write_bytes(runner.out / "recipe.yaml", write_recipe(cell.recipe).encode())
    command = f"wmdd distill {bench.data} --recipe {runner.out / 'recipe.yaml'}"
    possible, left_out = with_room(bench.pools_of(cell), plan)
    runner.warn(left_out)
    metrics = run_stages(runner, plan, command)
    if possible:
        own, labelling = runner.of_role("sets")[0], tuple(runner.of_role("labelling"))
        _, pools = random_scores(runner, plan, own, labelling, possible)
        metrics = with_scores(metrics, map(asdict, pools))
        write_json(runner.out / METRICS_FILE, metrics)
    if bench.measures is not None:
        metrics["losses"] = bench.measures.losses(runner.of_role("sets")[0], of=cell.name)
        write_json(runner.out / METRICS_FILE, metrics)
    write_json(runner.out / _DONE, bench.identity(cell))
    return metrics
