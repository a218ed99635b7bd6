"""`metrics.json`: what a run found, for machines; docs/data-flow.md has its fields."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from wmdd.evaluation.ranking import ranking_rows
from wmdd.methods.catalogue import BASELINE, find_method
from wmdd.pipeline.card_facts import method_facts, result_rows
from wmdd.pipeline.provenance import versions
from wmdd.product.reading import EXACT
from wmdd.settings import BarycenterSettings, Recipe
from wmdd.stages.barycenter import BARYCENTER
from wmdd.values import Diagnosis, ImageSet, Score, Teacher

if TYPE_CHECKING:
    from wmdd.methods.algorithm import Result
    from wmdd.pipeline.runner import Runner
    from wmdd.pipeline.set_evaluation import Judged

SCHEMA = 1


def run_metrics(
    runner: "Runner",
    images: tuple[ImageSet, ImageSet],
    teacher: "Result",
    judged: "Sequence[Judged]",
    command: str,
    *,
    full_data: Sequence[Score] = (),
) -> dict[str, Any]:
    """Return everything that a run found, ready for JSON."""
    train, val = images
    evaluations = [asdict(score) for each in judged for score in each.evaluation.record.scores]
    references = [asdict(score) for score in full_data]
    return {
        "schema": SCHEMA,
        "data": data_facts(train, val),
        "teacher": teacher_facts(teacher.record),
        "barycenter": _barycenter(runner),
        "diagnosis": {each.set: _figures(each) for each in _diagnoses(judged)},
        "evaluations": evaluations,
        "full_data": references,
        "ranking": ranking_rows(evaluations, references, random=BASELINE),
        "seconds": _seconds(runner),
        "costs": {each.distilled.record.method: _costs(runner, each) for each in judged},
        "run": {
            "method": runner.recipe.method,
            "ipc": runner.recipe.ipc,
            "seed": runner.recipe.seed,
            **machine_facts(runner, command),
            "results": {f"{result.stage.name}-{result.key}": result.stage.name for result in runner.results},
        },
    }


def data_facts(train: ImageSet, val: ImageSet) -> dict[str, Any]:
    """Return what is said of the real images."""
    return {
        "name": train.name,
        "classes": list(train.classes),
        "train": len(train),
        "val": len(val),
        "image_size": train.image_size,
        "channels": train.channels,
        "broken": len(train.broken) + len(val.broken),
    }


def teacher_facts(teacher: Teacher) -> dict[str, Any]:
    """Return what is said of the teacher."""
    return {"arch": teacher.spec.arch, "stem": teacher.spec.stem, "top1": teacher.top1}


def machine_facts(runner: "Runner", command: str) -> dict[str, Any]:
    """Return on what, by which code and by which command a run was made."""
    return {
        "device": str(runner.device),
        "precision": runner.precision,
        "command": command,
        "version": versions()["wmdd"],
        "commit": versions().get("commit", ""),
        "versions": versions(),
    }


def _barycenter(runner: "Runner") -> dict[str, Any]:
    """Return the figures of the barycenter stage; empty for methods without one."""
    found = [result for result in runner.results if result.stage is BARYCENTER]
    if not found:
        return {}
    record, settings = found[0].record, runner.recipe.of(BarycenterSettings)
    return {
        "objective": settings.objective,
        "weights": settings.weights if settings.objective == "wasserstein" else None,
        "cost_mean": float(record.costs.mean()),
        "floor_mean": float(record.floors.mean()),
        "traces": [list(trace) for trace in record.traces],
        "converged": all(record.converged),
    }


def _diagnoses(judged: "Sequence[Judged]") -> list[Diagnosis]:
    """Return the diagnoses of the sets that have one."""
    return [each.diagnosis.record for each in judged if each.diagnosis is not None]


def _figures(diagnosis: Diagnosis) -> dict[str, dict[str, Any]]:
    """Return what a diagnosis measured, class by class and as means over the classes."""
    values = {field.name.removesuffix("s"): getattr(diagnosis, field.name) for field in fields(diagnosis)}
    measured = {name: value for name, value in values.items() if isinstance(value, Tensor)}
    return {
        "mean": {name: float(value.mean()) for name, value in measured.items()},
        "classes": {name: value.tolist() for name, value in measured.items()},
    }


def _seconds(runner: "Runner") -> dict[str, float]:
    """Return the seconds of each stage, those of all sets added up, whenever they were spent."""
    seconds: dict[str, float] = {}
    for result in runner.results:
        spent = float(result.folder.manifest()["seconds"])
        seconds[result.stage.name] = round(seconds.get(result.stage.name, 0.0) + spent, 3)
    return seconds


def _costs(runner: "Runner", judged: "Judged") -> dict[str, dict[str, float]]:
    """Return what one set cost by stage, from its teacher to its students: `seconds`, added up, and peak `memory`.

    Counted is everything that the set's evaluation was made from, whichever run made it.
    """
    known = {result.key: result for result in runner.results}
    seconds: dict[str, float] = {}
    memory: dict[str, float] = {}
    waiting, counted = [judged.evaluation.key], set[str]()
    while waiting:
        key = waiting.pop()
        if key in counted or key not in known:
            continue
        counted.add(key)
        manifest = known[key].folder.manifest()
        name = known[key].stage.name
        seconds[name] = round(seconds.get(name, 0.0) + float(manifest["seconds"]), 3)
        memory[name] = max(memory.get(name, 0), int(manifest.get("peak_memory", 0)))
        waiting += [part for inputs in manifest["inputs"] for part in inputs.split("+")]
    return {"seconds": seconds, "memory": memory}


def product_bytes(distilled: Path) -> dict[str, int]:
    """Return the bytes that the images, exact values among them, and the soft labels of a product take on disk."""
    exact = distilled / EXACT
    return {
        "images": sum(file.stat().st_size for file in (distilled / "data").glob("*.parquet"))
        + (exact.stat().st_size if exact.exists() else 0),
        "soft_labels": sum(file.stat().st_size for file in (distilled / "fkd").glob("*.parquet")),
    }


def product_facts(metrics: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
    """Return what the data-set card tells of the run that made it."""
    method = find_method(recipe.method)
    return {
        "source": method.source,
        "real": method.real,
        "data": metrics["data"]["name"],
        "teacher": metrics["teacher"],
        **method_facts(recipe.method),
        "results": result_rows(metrics["evaluations"]),
        "versions": metrics["run"]["versions"],
        "settings": recipe.model_dump(mode="json"),
    }
