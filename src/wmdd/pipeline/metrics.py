"""`metrics.json`: the findings of a run, for programs; docs/data-flow.md has its fields."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from torch import Tensor

from wmdd.artifacts.files import make_folder, write_json
from wmdd.artifacts.parsing import read_as
from wmdd.evaluation.ranking import ranking_rows
from wmdd.evaluation.real_names import CEILING_SET
from wmdd.evaluation.rows import BASELINE, Scores
from wmdd.pipeline.obtaining import StoredResult
from wmdd.pipeline.plan import RunPlan
from wmdd.pipeline.provenance import versions
from wmdd.pipeline.run_files import METRICS_FILE, RUN_ADVICE, RUN_FILE, SCHEMA, JoinedScores, RunFile, read_metrics
from wmdd.pipeline.runner import Runner
from wmdd.pipeline.set_evaluation import EvaluatedSets
from wmdd.product.manifest import EXACT
from wmdd.stages.barycenter import BARYCENTER
from wmdd.values import Diagnosis, ImageSet, Score, Teacher
from wmdd.warnings import RunWarning

JOINED_FILE = "evaluations/scores.json"
_SAME = ("set", "ipc", "student", "protocol", "labels", "fingerprint", "seed")


def run_metrics(
    runner: Runner, plan: RunPlan, evaluated: EvaluatedSets, *, full_data: Sequence[Score], command: str
) -> dict[str, Any]:
    """Return all findings of a run, ready for JSON."""
    sets, evaluations = evaluated.sets, [asdict(score) for score in evaluated.scores]
    references = [asdict(score) for score in full_data]
    diagnoses = [each.diagnosis.record for each in sets if each.diagnosis is not None]
    results = runner.results
    return {
        "schema": SCHEMA,
        "data": data_facts(plan.train, plan.val),
        "teacher": teacher_facts(sets[0].teachers[0].record),
        "barycenter": barycenter_facts(results) if BARYCENTER.name in plan.method.stages else {},
        "diagnosis": {each.set: _figures(each) for each in diagnoses},
        "evaluations": evaluations,
        "full_data": references,
        "ranking": ranking_rows(evaluations, references, random=BASELINE),
        "warnings": [asdict(warning) for warning in runner.warnings],
        "seconds": _seconds(results),
        "costs": {
            **{each.distilled.record.method: _costs(results, each.evaluation) for each in sets},
            **({CEILING_SET: _costs(results, evaluated.ceiling)} if evaluated.ceiling else {}),
        },
        "run": {
            "method": plan.method.name,
            "ipc": plan.recipe.ipc,
            "seed": plan.recipe.seed,
            **machine_facts(runner, command),
            "results": {f"{result.stage.name}-{result.key}": result.stage.name for result in results},
        },
    }


def with_scores(metrics: Mapping[str, Any], scores: Scores) -> dict[str, Any]:
    """Return the metrics of a finished run with further scores, and the ranking of all."""
    evaluations = merged_scores(metrics.get("evaluations", ()), scores)
    ranking = ranking_rows(evaluations, metrics.get("full_data", ()), random=BASELINE)
    return {**metrics, "evaluations": evaluations, "ranking": ranking}


def merged_scores(*groups: Scores) -> list[Mapping[str, Any]]:
    """Return all scores; of those of the same student under the same conditions, the last counts."""
    rows = (row for group in groups for row in group)
    return list({student_of(row): row for row in rows}.values())


def student_of(score: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what two scores of the same student on the same set have in common; seeds tell draws of a set apart."""
    return (*map(score.get, _SAME), score.get("distill_seed", 0))


def joined_scores(run: Path) -> list[Mapping[str, Any]]:
    """Return the scores that were added to a finished run, if its sets and their labelling teachers are the same."""
    path = run / JOINED_FILE
    if not path.exists():
        return []
    advice = f"remove it: its scores are lost, but `wmdd evaluate {run}` makes them again"
    joined = read_as(JoinedScores, path, advice=advice)
    return [asdict(score) for score in joined.scores] if joined.of == _scored(run) else []


def join_scores(run: Path, scores: Scores, warnings: Iterable[RunWarning]) -> None:
    """Add scores to a finished run: to its metrics, and to a file of their own, so that they outlive the metrics.

    What was said while they were made joins the run's warnings.
    """
    rows = list(scores)
    make_folder((run / JOINED_FILE).parent)
    write_json(run / JOINED_FILE, {"of": _scored(run), "scores": merged_scores(joined_scores(run), rows)})
    metrics = with_scores(read_metrics(run), rows)
    said = metrics.get("warnings", [])
    metrics["warnings"] = said + [each for each in map(asdict, warnings) if each not in said]
    write_json(run / METRICS_FILE, metrics)


def _scored(run: Path) -> dict[str, Any]:
    """Return the identities of a run's sets and of the teachers that label them."""
    known = read_as(RunFile, run / RUN_FILE, advice=RUN_ADVICE)
    return {role: names and list(names) for role, names in (("sets", known.sets), ("labelling", known.labelling))}


def data_facts(train: ImageSet, val: ImageSet) -> dict[str, Any]:
    """Return the figures of the real images."""
    return {
        "name": train.name,
        "classes": list(train.classes),
        "train": len(train),
        "val": len(val),
        "image_size": train.image_size,
        "channels": train.channels,
        "broken": len(train.broken) + len(val.broken),
        "holdout": val.held_out,
        "development": val.development,
        "tested_on": val.fingerprint,
    }


def teacher_facts(teacher: Teacher) -> dict[str, Any]:
    """Return the figures of the teacher."""
    return {"arch": teacher.spec.arch, "stem": teacher.spec.stem, "top1": teacher.top1}


def machine_facts(runner: Runner, command: str) -> dict[str, Any]:
    """Return the machine, the code and the command that made a run."""
    return {
        "device": str(runner.device),
        "precision": runner.precision,
        "command": command,
        "version": versions()["wmdd"],
        "commit": versions().get("commit", ""),
        "versions": versions(),
    }


def barycenter_facts(results: Iterable[StoredResult]) -> dict[str, Any]:
    """Return the figures of the barycenter stage; empty where it is not among the results."""
    found = next((result for result in results if result.stage is BARYCENTER), None)
    if found is None:
        return {}
    record, settings = found.record, found.folder.manifest().settings
    return {
        "objective": settings["objective"],
        "weights": settings["weights"] if settings["objective"] == "wasserstein" else None,
        "cost_mean": float(record.costs.mean()),
        "best_known_mean": float(record.best_known.mean()),
        "starts": settings["starts"],
        "uniform_share": float(record.uniform.double().mean()) if record.weights.shape[1] > 1 else None,
        "traces": [list(trace) for trace in record.traces],
        "converged": all(record.converged),
    }


def _figures(diagnosis: Diagnosis) -> dict[str, dict[str, Any]]:
    """Return the measurements of a diagnosis, class by class and as means over the classes."""
    values = {field.name.removesuffix("s"): getattr(diagnosis, field.name) for field in fields(diagnosis)}
    measured = {name: value for name, value in values.items() if isinstance(value, Tensor)}
    return {
        "mean": {name: float(value.mean()) for name, value in measured.items()},
        "classes": {name: value.tolist() for name, value in measured.items()},
    }


def _seconds(results: Sequence[StoredResult]) -> dict[str, float]:
    """Return the seconds of each stage, those of all sets added up, whenever they were spent."""
    seconds: dict[str, float] = {}
    for result in results:
        spent = result.folder.manifest().seconds
        seconds[result.stage.name] = round(seconds.get(result.stage.name, 0.0) + spent, 3)
    return seconds


def _costs(results: Sequence[StoredResult], evaluation: StoredResult) -> dict[str, dict[str, Any]]:
    """Return the costs of one set by stage, from its teacher to its students: `seconds`, added up, and peak `memory`.

    Beside them stand the `commits` of the code that made them.

    They include everything that the set's evaluation was made from, whichever run made it.
    """
    known = {result.key: result for result in results}
    seconds: dict[str, float] = {}
    memory: dict[str, float] = {}
    commits: dict[str, set[str]] = {}
    waiting, counted = [evaluation.key], set[str]()
    while waiting:
        key = waiting.pop()
        if key in counted or key not in known:
            continue
        counted.add(key)
        manifest = known[key].folder.manifest()
        name = known[key].stage.name
        seconds[name] = round(seconds.get(name, 0.0) + manifest.seconds, 3)
        memory[name] = max(memory.get(name, 0), manifest.peak_memory)
        commits.setdefault(name, set()).add(manifest.versions.get("commit", ""))
        for part in manifest.inputs:
            waiting += [part] if isinstance(part, str) else part
    said = {name: ", ".join(sorted(filter(None, found))) for name, found in commits.items()}
    return {"seconds": seconds, "memory": memory, "commits": said}


def product_bytes(distilled: Path, count: int) -> dict[str, int]:
    """Return the bytes that the images, exact values among them, and the soft labels of a product take on disk.

    And those that the soft labels take for each of its `count` images.
    """
    exact = distilled / EXACT
    labels = sum(file.stat().st_size for file in (distilled / "fkd").glob("*"))
    return {
        "images": sum(file.stat().st_size for file in (distilled / "data").glob("*.parquet"))
        + (exact.stat().st_size if exact.exists() else 0),
        "soft_labels": labels,
        "soft_labels_per_image": round(labels / count),
    }
