"""The cells of a bench: each is a run, made by whichever worker is free; a cell that fails costs no other one's row.

A worker holds the cell that it makes and writes its files. When no cell is free any more, workers help in those of
others; the cell of a worker that died is free again.
"""

import time
import traceback
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from wmdd.artifacts.files import make_folder, write_bytes, write_json, writing
from wmdd.artifacts.folder import Store
from wmdd.artifacts.keys import result_key
from wmdd.artifacts.locks import HeldError, locked
from wmdd.artifacts.parsing import read_as
from wmdd.errors import ArtifactError, WmddError
from wmdd.evaluation.rows import BASELINE
from wmdd.pipeline.bench_file import BENCH_FILE, BENCH_SCHEMA
from wmdd.pipeline.bench_losses import Measures
from wmdd.pipeline.bench_recipe import Cell
from wmdd.pipeline.bench_results import cell_entry, finished_entry
from wmdd.pipeline.estimate import span
from wmdd.pipeline.fresh import Fresh
from wmdd.pipeline.metrics import with_scores
from wmdd.pipeline.obtaining import StoredResult
from wmdd.pipeline.plan import RunPlan
from wmdd.pipeline.pools import random_scores, with_room
from wmdd.pipeline.provenance import versions
from wmdd.pipeline.run import run_stages
from wmdd.pipeline.run_files import METRICS_FILE, RECIPE_FILE, read_metrics
from wmdd.pipeline.runner import Runner
from wmdd.pipeline.shared_context import pause
from wmdd.pipeline.watchers import Watcher
from wmdd.pipeline.workers import this_worker
from wmdd.settings import Recipe
from wmdd.settings.recipe import write_recipe
from wmdd.stages.pool import POOL

_DONE = "cell.json"
"""Written last into a cell's folder; holds the identity of everything that the cell was made from."""
_TRACEBACK = "error.txt"
_FAILED = "failed.json"
"""Why the cell could not be made, for the other workers."""
Plans = Sequence[tuple[Cell, RunPlan | Exception]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What all cells have in common."""

    data: str
    base: RunPlan
    """The row of random images at the largest number of images per class: what no row can use is refused in it."""
    out: Path
    store: Path
    watcher: Watcher
    fresh: Fresh
    """What is made anew in any cell."""
    measures: Measures | None = None
    """How the losses of the sets are measured; None where they are not asked for."""
    multiples: tuple[int, ...] = ()
    """Numbers of random real images on which students are trained, in units of a set's, beside that number itself."""

    def runner(self, recipe: Recipe, folder: str, *, writes: bool | None = None) -> Runner:
        """Return a runner that leaves its files in a folder of the bench's; with `writes`, for this worker alone."""
        make_folder(self.out / folder)
        return Runner(
            recipe=recipe,
            store=Store(root=self.store),
            out=self.out / folder,
            watcher=self.watcher,
            fresh=self.fresh,
            writes=writes,
            together=writes is None,
        )

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


def make_cells(bench: Bench, plans: Plans, results: dict[str, Any], teacher: StoredResult) -> None:
    """Make one cell after the other, or find it made; `bench.json` is up to date before each."""
    results["cells"] = entries = [cell_entry(cell, "waiting") for cell, _ in plans]
    waiting, began, made = dict(enumerate(plans)), time.monotonic(), 0
    helped: set[int] = set()
    _tell(bench, results)
    while waiting:
        for number, (cell, plan) in list(waiting.items()):
            if bench.watcher.stop_asked():
                raise KeyboardInterrupt
            title = f"[{number + 1} of {len(plans)}] {cell.row}, IPC {cell.recipe.ipc}, seed {cell.recipe.seed}"
            found = _found(bench, cell, teacher, title)
            if found is None:
                left = f", about {span((time.monotonic() - began) / made * len(waiting))} left" if made else ""
                found = _attempt(bench, cell, plan, teacher, f"{title}{left}")
                made += found is not None
            if found is not None:
                entries[number] = found
                del waiting[number]
                _tell(bench, results)
        if waiting:
            _help(bench, waiting, helped)


def forget_failures(out: Path) -> None:
    """Let cells that failed in an earlier bench be tried again."""
    with writing(out):
        for path in out.glob(f"*/*/{_FAILED}"):
            path.unlink()


def forget_finished(bench: Bench, table: Sequence[Cell]) -> None:
    """Let no cell count as finished: each is put together from the store again, from what is made anew there."""
    for cell in table:
        done = bench.out / cell.folder / _DONE
        with writing(done):
            done.unlink(missing_ok=True)


def _tell(bench: Bench, results: dict[str, Any]) -> None:
    if this_worker().first:
        write_json(bench.out / BENCH_FILE, results)


def _found(bench: Bench, cell: Cell, teacher: StoredResult, title: str) -> dict[str, Any] | None:
    """Return the entry of a cell that is finished, or that failed with another worker."""
    metrics = _finished(bench, cell)
    if metrics is not None:
        bench.watcher.note(f"{title}: found finished")
        return finished_entry(cell, metrics, teacher)
    with suppress(ArtifactError):
        reason = read_as(str, bench.out / cell.folder / _FAILED)
        bench.watcher.note(f"{cell.name} failed: {reason}")
        return cell_entry(cell, "failed", error=reason)
    return None


def _help(bench: Bench, waiting: dict[int, tuple[Cell, RunPlan | Exception]], helped: set[int]) -> None:
    """Have a part in a cell that another worker makes, once; wait a moment if there is none."""
    number = next((number for number in waiting if number not in helped), None)
    if number is None:
        pause(bench.watcher)
        return
    helped.add(number)
    cell, plan = waiting[number]
    with suppress(Exception):  # whose cell it is meets the same, and says so
        if isinstance(plan, RunPlan):
            _evaluate(bench, cell, plan, bench.runner(cell.recipe, cell.folder, writes=False))


def _finished(bench: Bench, cell: Cell) -> dict[str, Any] | None:
    """Return the metrics of a cell that was finished from the same settings, data and code before.

    What is damaged is put together again from the store, where nothing is repeated.
    """
    folder = bench.out / cell.folder
    try:
        done = read_as(dict[str, str], folder / _DONE)
        return read_metrics(folder) if done.items() >= bench.identity(cell).items() else None
    except ArtifactError:
        return None


def _attempt(
    bench: Bench, cell: Cell, plan: RunPlan | Exception, teacher: StoredResult, title: str
) -> dict[str, Any] | None:
    """Return the entry of a cell, which is made if it is not finished by now; nothing if another process is at it."""
    folder = bench.out / cell.folder
    make_folder(folder.parent)
    with ExitStack() as holding:
        try:
            lock = locked(folder.with_name(f".{folder.name}.lock"), f"another process makes this cell; got {folder}")
            holding.enter_context(lock)
        except HeldError:
            return None
        metrics = _finished(bench, cell)
        if metrics is not None:
            return finished_entry(cell, metrics, teacher)
        bench.watcher.note(title)
        return _entry(bench, cell, plan, teacher)


def _entry(bench: Bench, cell: Cell, plan: RunPlan | Exception, teacher: StoredResult) -> dict[str, Any]:
    """Make a cell; whatever fails in it is kept as one line, with the traceback in its folder if it is a bug."""
    try:
        return finished_entry(cell, _make(bench, cell, plan), teacher)
    except WmddError as error:
        reason = " ".join(str(error).split())
    except Exception as error:  # noqa: BLE001 - a bug, or no memory left, in one method must not cost the others' rows
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        write_bytes(bench.out / cell.folder / _TRACEBACK, traceback.format_exc().encode())
    write_json(bench.out / cell.folder / _FAILED, reason)
    bench.watcher.note(f"{cell.name} failed: {reason}")
    return cell_entry(cell, "failed", error=reason)


def _make(bench: Bench, cell: Cell, plan: RunPlan | Exception) -> dict[str, Any]:
    """Run a cell from its data to its metrics, and write its files."""
    runner = bench.runner(cell.recipe, cell.folder, writes=True)
    with writing(runner.out / _TRACEBACK):
        (runner.out / _TRACEBACK).unlink(missing_ok=True)
    if isinstance(plan, Exception):
        raise plan
    write_bytes(runner.out / RECIPE_FILE, write_recipe(cell.recipe).encode())
    metrics = _evaluate(bench, cell, plan, runner)
    write_json(runner.out / METRICS_FILE, metrics)
    write_json(runner.out / _DONE, bench.identity(cell))
    return metrics


def _evaluate(bench: Bench, cell: Cell, plan: RunPlan, runner: Runner) -> dict[str, Any]:
    """Run all stages of a cell, those of its pools and its losses among them; return its metrics."""
    command = f"wmdd distill {bench.data} --recipe {runner.out / RECIPE_FILE}"
    possible, left_out = with_room(bench.pools_of(cell), plan)
    runner.warn(left_out)
    metrics = run_stages(runner, plan, command)
    if possible:
        own, labelling = runner.of_role("sets")[0], tuple(runner.of_role("labelling"))
        _, pools = random_scores(runner, plan, own, labelling, possible)
        metrics = with_scores(metrics, map(asdict, pools))
    if bench.measures is not None:
        metrics["losses"] = bench.measures.losses(runner.of_role("sets")[0], of=cell.name)
    return metrics
