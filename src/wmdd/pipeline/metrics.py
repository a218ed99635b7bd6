"""`metrics.json`: what a run found, for machines; docs/data-flow.md has its fields."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from wmdd.pipeline.provenance import versions
from wmdd.pipeline.recipe import Recipe
from wmdd.stages.barycenter import BARYCENTER
from wmdd.values import Diagnosis, ImageSet

if TYPE_CHECKING:
    from wmdd.pipeline.judging import Judged
    from wmdd.pipeline.runner import Runner, StoredResult

SCHEMA = 1


def run_metrics(
    runner: "Runner",
    images: tuple[ImageSet, ImageSet],
    teacher: "StoredResult",
    judged: "Sequence[Judged]",
    command: str,
) -> dict[str, Any]:
    """Return everything that a run found, ready for JSON."""
    train, val = images
    spec = teacher.record.spec
    return {
        "schema": SCHEMA,
        "data": {
            "name": train.name,
            "classes": list(train.classes),
            "train": len(train),
            "val": len(val),
            "image_size": train.image_size,
            "channels": train.channels,
            "broken": len(train.broken) + len(val.broken),
        },
        "teacher": {"arch": spec.arch, "stem": spec.stem, "top1": teacher.record.top1},
        "barycenter": _barycenter(runner),
        "diagnosis": {each.set: _figures(each) for each in _diagnoses(judged)},
        "evaluations": [asdict(score) for each in judged for score in each.evaluation.record.scores],
        "seconds": _seconds(runner),
        "run": {
            "method": runner.recipe.method,
            "ipc": runner.recipe.ipc,
            "seed": runner.recipe.seed,
            "device": str(runner.device),
            "precision": runner.precision,
            "command": command,
            "version": versions()["wmdd"],
            "commit": versions().get("commit", ""),
            "versions": versions(),
            "results": {f"{result.stage.name}-{result.key}": result.stage.name for result in runner.results},
        },
    }


def _barycenter(runner: "Runner") -> dict[str, Any]:
    """Return the figures of the barycenter stage; empty for methods without one."""
    found = [result for result in runner.results if result.stage is BARYCENTER]
    if not found:
        return {}
    record, settings = found[0].record, runner.recipe.barycenter
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


def product_bytes(distilled: Path) -> dict[str, int]:
    """Return the bytes that the images and the soft labels of a product folder take on disk."""
    return {
        "images": sum(file.stat().st_size for file in (distilled / "data").glob("*.parquet")),
        "soft_labels": sum(file.stat().st_size for file in (distilled / "fkd").glob("*.parquet")),
    }


def product_facts(metrics: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
    """Return what the data-set card tells of the run that made it."""
    return {
        "data": metrics["data"]["name"],
        "teacher": metrics["teacher"],
        "evaluations": metrics["evaluations"],
        "versions": metrics["run"]["versions"],
        "settings": recipe.model_dump(mode="json"),
    }
