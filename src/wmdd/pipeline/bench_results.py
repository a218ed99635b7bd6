"""`bench.json`: what a bench found, for machines; docs/data-flow.md has its fields."""

from typing import Any

from wmdd.pipeline.bench_file import BENCH_SCHEMA
from wmdd.pipeline.bench_recipe import BenchRecipe, Cell
from wmdd.pipeline.metrics import data_facts, machine_facts, teacher_facts
from wmdd.pipeline.obtaining import StoredResult
from wmdd.pipeline.plan import RunPlan
from wmdd.pipeline.runner import Runner
from wmdd.stages.squeeze import SQUEEZE


def bench_results(
    recipe: BenchRecipe, base: RunPlan, runner: Runner, teacher: StoredResult, command: str
) -> dict[str, Any]:
    """Return the contents of `bench.json` apart from its cells."""
    evaluation = base.recipe.evaluate
    return {
        "schema": BENCH_SCHEMA,
        "data": data_facts(base.train, base.val),
        "teacher": {**teacher_facts(teacher.record), "seconds": teacher.folder.manifest().seconds},
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


def cell_entry(cell: Cell, state: str, **facts: Any) -> dict[str, Any]:
    """Return the entry of a cell: what it is, and its state; `facts` replace the empty fields."""
    return {
        "row": cell.row,
        "method": cell.recipe.method,
        "ipc": cell.recipe.ipc,
        "seed": cell.recipe.seed,
        "state": state,
        "error": "",
        "folder": cell.folder,
        **{
            "scores": [],
            "beside": [],
            "seconds": {},
            "memory": {},
            "commits": {},
            "bytes": {},
            "losses": {},
            "warnings": [],
        },
        **facts,
    }


def finished_entry(cell: Cell, metrics: dict[str, Any], teacher: StoredResult) -> dict[str, Any]:
    """Return the entry of a finished cell; the teacher that all cells share is not among its costs."""
    method, scores = cell.recipe.method, metrics["evaluations"]
    costs = metrics["costs"][method]
    seconds, memory = dict(costs["seconds"]), dict(costs["memory"])
    if f"{SQUEEZE.name}-{teacher.key}" in metrics["run"]["results"] and SQUEEZE.name in seconds:
        seconds[SQUEEZE.name] = round(seconds[SQUEEZE.name] - teacher.folder.manifest().seconds, 3)
        if seconds[SQUEEZE.name] <= 0:  # a method may have further teachers of its own
            del seconds[SQUEEZE.name], memory[SQUEEZE.name]
    return cell_entry(
        cell,
        "finished",
        scores=[score for score in scores if score["set"] == method],
        beside=[*(score for score in scores if score["set"] != method), *metrics["full_data"]],
        seconds=seconds,
        memory=memory,
        commits=costs["commits"],
        bytes=metrics["bytes"],
        losses=metrics.get("losses", {}),
        warnings=metrics.get("warnings", []),
    )
