"""A table of results: methods x images per class x seeds on one data set, under one teacher and one evaluation.

Every cell is a run with a folder of its own; all share one store, so nothing is computed twice: not the teacher, not
the statistics, not the students of the random images. A cell that fails is a line in its row; the others go on.
"""

import json
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wmdd.artifacts.files import make_folder, read_json, write_bytes, write_json
from wmdd.artifacts.folder import Store
from wmdd.artifacts.keys import result_key
from wmdd.data.sources.opening import open_data
from wmdd.errors import WmddError
from wmdd.pipeline.bench_recipe import BenchRecipe, Cell, cells
from wmdd.pipeline.estimate import Speeds, span
from wmdd.pipeline.metrics import data_facts, machine_facts, teacher_facts
from wmdd.pipeline.plan import RunPlan, plan_run
from wmdd.pipeline.provenance import versions
from wmdd.pipeline.run import DEFAULT_STORE, run_stages
from wmdd.pipeline.runner import Runner, StoredResult, given_images
from wmdd.pipeline.status import BENCH_FILE, METRICS_FILE
from wmdd.pipeline.watchers import OnlyNew, Watcher
from wmdd.settings import Recipe
from wmdd.settings.recipe import write_recipe
from wmdd.stages.squeeze import SQUEEZE

SCHEMA = 1
_DONE = "cell.json"
"""Written last into a cell's folder; holds the identity of what the cell was made from."""
_TRACEBACK = "error.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRun:
    """What a bench left behind."""

    out: Path
    results: dict[str, Any]
    """Contents of `bench.json`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """What all cells have in common."""

    data: str
    base: RunPlan
    """The row of random images at the largest number of images per class: what no row can use is found in it."""
    out: Path
    store: Path
    watcher: Watcher

    def runner(self, recipe: Recipe, folder: str) -> Runner:
        """Return a runner that leaves its files in a folder of the bench's."""
        make_folder(self.out / folder)
        return Runner(recipe=recipe, store=Store(root=self.store), out=self.out / folder, watcher=self.watcher)


def bench(
    data: str,
    recipe: BenchRecipe,
    *,
    out: Path,
    store: Path = DEFAULT_STORE,
    watcher: Watcher | None = None,
    command: str = "",
) -> BenchRun:
    """Make every cell of the table, and `bench.json`, which is written anew after each.

    Running it again with the same arguments resumes: finished cells are skipped, failed ones are tried again.

    Args:
        data: source of the images, see `wmdd.data.sources.opening.open_data`.
        recipe: rows, columns, and the settings of the cells.
        out: folder of the bench.
        store: folder of stage results, shared between all runs.
        watcher: hears how it goes.
        command: as typed, for the record.

    Raises:
        WmddError: the input is not usable, whatever the row; the message is one line.
    """
    table, shared = cells(recipe), recipe.shared
    train, val = open_data(data, shared.data)
    base = plan_run(shared.with_settings({"ipc": max(recipe.ipcs)}), train, val)
    make_folder(out)
    make_folder(store)
    write_bytes(out / "bench.yaml", write_recipe(recipe).encode())
    place = _Place(data=data, base=base, out=out, store=store, watcher=OnlyNew(watcher or Watcher()))
    runner = place.runner(table[0].recipe, "teacher")
    plans = [_plan(cell, base) for cell in table]
    _announce(place, table, plans, runner)
    teacher = runner.run(SQUEEZE, given_images(train), given_images(val), settings=shared.squeeze)
    results = _facts(recipe, place, runner, teacher, command)
    _make_all(place, list(zip(table, plans, strict=True)), results, teacher)
    return BenchRun(out=out, results=results)


def _plan(cell: Cell, base: RunPlan) -> RunPlan | Exception:
    """Return the plan of a cell, or what is wrong with it, which its row will say."""
    try:
        return plan_run(cell.recipe, base.train, base.val)
    except Exception as error:  # noqa: BLE001 - a bug in one method must not cost the others' rows
        return error


def _announce(place: _Place, table: Sequence[Cell], plans: Sequence[RunPlan | Exception], runner: Runner) -> None:
    """Tell the watcher what the bench will cost if nothing of it is finished yet, as far as that can be known."""
    sound = {cell.name: plan for cell, plan in zip(table, plans, strict=True) if isinstance(plan, RunPlan)}
    networks = {arch: spec for plan in sound.values() for arch, spec in plan.networks.items()}
    speeds, work = Speeds(networks, runner.device, runner.precision), [plan.work for plan in sound.values()]
    parts = {
        "teachers": speeds.seconds({part for each in work for part in each.teachers}),  # shared by rows that have them
        "methods": sum(speeds.seconds(each.method or ()) for each in work),
        "labels": sum(speeds.seconds(each.labels) for each in work),
        "students": sum(speeds.seconds(each.students) for each in work),
    }
    rows = dict.fromkeys(cell.row for cell in table if cell.name in sound and sound[cell.name].work.method is None)
    unknown = f", not counting {', '.join(rows)} themselves" if rows else ""
    train, evaluation = place.base.train, place.base.recipe.evaluate
    count = evaluation.seeds * len(evaluation.students) * len(evaluation.protocols)
    told = ", ".join(f"{name} {span(cost)}" for name, cost in parts.items())
    students = f"{count} student{'' if count == 1 else 's'} each"
    place.watcher.note(
        f"{len(table)} sets of {train.name} ({len(train):,} images of {len(train.classes)} classes at "
        f"{train.image_size} px), {students}, on {runner.device} in {runner.precision}. If nothing is finished yet: "
        f"about {span(sum(parts.values()))} ({told}){unknown}."
    )


def _facts(recipe: BenchRecipe, place: _Place, runner: Runner, teacher: StoredResult, command: str) -> dict[str, Any]:
    """Return what `bench.json` says apart from its cells."""
    evaluation = recipe.shared.evaluate
    return {
        "schema": SCHEMA,
        "data": data_facts(place.base.train, place.base.val),
        "teacher": {**teacher_facts(teacher.record), "seconds": float(teacher.folder.manifest()["seconds"])},
        "rows": [
            {"name": row, "method": recipe.method_of(row), "settings": recipe.variants.get(row, {})}
            for row in recipe.rows
        ],
        "ipcs": list(dict.fromkeys(recipe.ipcs)),
        "students": list(evaluation.students),
        "protocols": list(evaluation.protocols),
        "seeds": evaluation.seeds,
        "distill_seeds": recipe.distill_seeds,
        "run": machine_facts(runner, command),
        "cells": [],
    }


def _make_all(
    place: _Place,
    table: Sequence[tuple[Cell, RunPlan | Exception]],
    results: dict[str, Any],
    teacher: StoredResult,
) -> None:
    """Make one cell after the other; `bench.json` always tells how far it is."""
    entries = [_entry(cell, state="waiting") for cell, _ in table]
    results["cells"] = entries
    began, made = time.monotonic(), 0
    for number, (cell, plan) in enumerate(table):
        write_json(place.out / BENCH_FILE, results)
        if place.watcher.stop_asked():
            raise KeyboardInterrupt
        title = f"[{number + 1} of {len(table)}] {cell.row}, IPC {cell.recipe.ipc}, seed {cell.recipe.seed}"
        finished = _finished(place, cell)
        if finished is not None:
            place.watcher.note(f"{title}: found finished")
            entries[number] = _finished_entry(cell, finished, teacher)
            continue
        left = f", about {span((time.monotonic() - began) / made * (len(table) - number))} left" if made else ""
        place.watcher.note(f"{title}{left}")
        entries[number] = _attempt(place, cell, plan, teacher)
        made += 1
    write_json(place.out / BENCH_FILE, results)


def _folder(cell: Cell) -> str:
    return f"cells/{cell.name}"


def _identity(place: _Place, cell: Cell) -> str:
    """Return a hash of everything that a cell is made from."""
    code = {name: versions().get(name, "") for name in ("wmdd", "commit")}
    settings = {"recipe": cell.recipe.model_dump(mode="json"), "code": code}
    return result_key("cell", SCHEMA, settings, [place.base.train.fingerprint, place.base.val.fingerprint])


def _finished(place: _Place, cell: Cell) -> dict[str, Any] | None:
    """Return the metrics of a cell that was finished from the same settings, data and code before."""
    folder = place.out / _folder(cell)
    try:
        done = json.loads((folder / _DONE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return read_json(folder / METRICS_FILE) if done == {"identity": _identity(place, cell)} else None


def _attempt(place: _Place, cell: Cell, plan: RunPlan | Exception, teacher: StoredResult) -> dict[str, Any]:
    """Make a cell; whatever goes wrong in it is kept as one line, with the traceback in its folder if it is a bug."""
    folder = place.out / _folder(cell)
    try:
        metrics = _make(place, cell, plan)
    except WmddError as error:
        reason = " ".join(str(error).split())
    except Exception as error:  # noqa: BLE001 - a bug, or no memory left, in one method must not cost the others' rows
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        write_bytes(folder / _TRACEBACK, traceback.format_exc().encode())
    else:
        return _finished_entry(cell, metrics, teacher)
    place.watcher.note(f"{cell.name} failed: {reason}")
    return _entry(cell, state="failed", error=reason)


def _make(place: _Place, cell: Cell, plan: RunPlan | Exception) -> dict[str, Any]:
    """Run a cell from its data to its metrics."""
    runner = place.runner(cell.recipe, _folder(cell))
    (runner.out / _TRACEBACK).unlink(missing_ok=True)
    if isinstance(plan, Exception):
        raise plan
    write_bytes(runner.out / "recipe.yaml", write_recipe(cell.recipe).encode())
    command = f"wmdd distill {place.data} --recipe {runner.out / 'recipe.yaml'}"
    metrics = run_stages(runner, plan, command)
    write_json(runner.out / _DONE, {"identity": _identity(place, cell)})
    return metrics


def _entry(cell: Cell, *, state: str, error: str = "", **facts: Any) -> dict[str, Any]:
    """Return what `bench.json` says of a cell."""
    recipe = cell.recipe
    empty: dict[str, Any] = {"scores": [], "beside": [], "seconds": {}, "memory": {}, "bytes": {}}
    return {
        "row": cell.row,
        "method": recipe.method,
        "ipc": recipe.ipc,
        "seed": recipe.seed,
        "state": state,
        "error": error,
        "folder": _folder(cell),
        **empty,
        **facts,
    }


def _finished_entry(cell: Cell, metrics: dict[str, Any], teacher: StoredResult) -> dict[str, Any]:
    """Return what `bench.json` says of a finished cell; the teacher that all cells share is not among its costs."""
    method, scores = cell.recipe.method, metrics["evaluations"]
    costs = metrics["costs"][method]
    seconds, memory = dict(costs["seconds"]), dict(costs["memory"])
    if f"{SQUEEZE.name}-{teacher.key}" in metrics["run"]["results"] and SQUEEZE.name in seconds:
        seconds[SQUEEZE.name] = round(seconds[SQUEEZE.name] - float(teacher.folder.manifest()["seconds"]), 3)
        if seconds[SQUEEZE.name] <= 0:  # a method may bring further teachers of its own
            del seconds[SQUEEZE.name], memory[SQUEEZE.name]
    return _entry(
        cell,
        state="finished",
        scores=[score for score in scores if score["set"] == method],
        beside=[*(score for score in scores if score["set"] != method), *metrics["full_data"]],
        seconds=seconds,
        memory=memory,
        bytes=metrics["bytes"],
    )
