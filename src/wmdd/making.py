"""Requests carried out, for commands and functions alike: what is asked for is made, and its report written."""

from pathlib import Path

from wmdd.artifacts.files import writing
from wmdd.evaluation.comparison import Comparison
from wmdd.methods.catalogue import title_of
from wmdd.pipeline.bench import BenchRun
from wmdd.pipeline.bench import bench as run_bench
from wmdd.pipeline.run import Run
from wmdd.pipeline.run import distill as run_distill
from wmdd.pipeline.run_evaluation import evaluate_run
from wmdd.pipeline.watchers import Watcher
from wmdd.pipeline.workers import this_worker
from wmdd.pipeline.worth import measure_worth
from wmdd.product.conversion import export_with_labels
from wmdd.product.reading import load
from wmdd.product.writing import export_set
from wmdd.report import write_bench, write_report
from wmdd.requests.bench import BenchRequest
from wmdd.requests.distill import DistillRequest
from wmdd.requests.evaluate import EvaluateRequest
from wmdd.requests.inspect import ExportRequest
from wmdd.requests.worth import WorthRequest
from wmdd.values import Evaluation


def make_run(request: DistillRequest, *, watcher: Watcher | None = None, command: str = "") -> Run:
    """Carry out a run and write its report."""
    places = {"out": request.out, "store": request.store}
    run = run_distill(
        request.data,
        request.recipe,
        **places,
        until=request.until,
        fresh=request.fresh,
        watcher=watcher,
        command=command,
    )
    if run.metrics:
        write_report(run.out)
    return run


def make_scores(request: EvaluateRequest, *, watcher: Watcher | None = None) -> Evaluation:
    """Carry out an evaluation and write the run's report again."""
    scores = evaluate_run(request.run, request.data, request.changes, fresh=request.fresh, watcher=watcher)
    if this_worker().first:
        write_report(request.run)
    return scores


def make_worth(request: WorthRequest, *, watcher: Watcher | None = None) -> tuple[Comparison, ...]:
    """Train students on random images and write the run's report again."""
    asked = request.students
    found = measure_worth(
        asked.run,
        asked.data,
        asked.changes,
        multiples=request.multiples,
        draws=request.draws,
        fresh=asked.fresh,
        watcher=watcher,
    )
    if this_worker().first:
        write_report(asked.run)
    return found


def make_bench(request: BenchRequest, *, watcher: Watcher | None = None, command: str = "") -> BenchRun:
    """Carry out a bench and write its tables and its page."""
    places = {"out": request.out, "store": request.store}
    run = run_bench(request.data, request.recipe, **places, fresh=request.fresh, watcher=watcher, command=command)
    if this_worker().first:
        write_bench(run.out)
    return run


def make_export(request: ExportRequest) -> Path:
    """Carry out an export; return its folder."""
    distilled = load(request.run)
    facts = {"title": title_of(distilled.method)}
    if request.top_k is not None:
        export_with_labels(distilled, request.to, request.top_k, facts=facts)
        return request.to
    with writing(request.to):
        export_set(distilled, request.to, request.format, facts=facts)
    return request.to
