"""The commands as Python functions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wmdd.errors import ConfigError
from wmdd.methods.catalogue import complete
from wmdd.pipeline.bench import BenchRun
from wmdd.pipeline.bench import bench as run_bench
from wmdd.pipeline.bench_recipe import BenchRecipe
from wmdd.pipeline.run import DEFAULT_STORE, Run
from wmdd.pipeline.run import distill as run_distill
from wmdd.pipeline.run_evaluation import evaluate_run, run_folder
from wmdd.pipeline.watchers import Watcher
from wmdd.product.reading import PortableSet
from wmdd.recipes import choose_bench, choose_recipe
from wmdd.report import write_bench, write_report
from wmdd.settings import Recipe
from wmdd.values import DistilledSet, Evaluation


def distill(
    data: str | Path,
    /,
    *,
    recipe: str | Path | Recipe | None = None,
    out: str | Path | None = None,
    store: str | Path = DEFAULT_STORE,
    until: str | None = None,
    watcher: Watcher | None = None,
    command: str = "",
    **settings: Any,
) -> Run:
    """Distil a data set, evaluate the result beside random real images, and write a report; the same as `wmdd distill`.

    Args:
        data: folder of pictures, or any other source that `wmdd list data` names.
        recipe: name of a recipe, file with one, or a recipe; None = the one called like the data, else the defaults.
        out: folder of the run; None = `runs/DATA-METHOD-ipcN`.
        store: folder of stage results, shared between runs.
        until: stop after this stage.
        watcher: follows the progress of the run.
        command: for the record.
        **settings: settings that replace the recipe's: `ipc=1`, `recover={"lr": 0.1}`.

    Returns:
        The run's folder and the contents of its `metrics.json`.

    Raises:
        WmddError: the input cannot be used; one line says why.
    """
    source = str(data)
    base = recipe.model_dump() if isinstance(recipe, Recipe) else choose_recipe(source, recipe)
    chosen = complete(base, settings)
    folder = Path(out) if out is not None else default_out(source, chosen)
    run = run_distill(source, chosen, out=folder, store=Path(store), until=until, watcher=watcher, command=command)
    if run.metrics:
        write_report(run.out)
    return run


def bench(
    data: str | Path,
    /,
    *,
    recipe: str | Path | BenchRecipe | None = None,
    out: str | Path | None = None,
    store: str | Path = DEFAULT_STORE,
    watcher: Watcher | None = None,
    command: str = "",
    **changes: Any,
) -> BenchRun:
    """Compare methods on a data set and write tables and a page; the same as `wmdd bench`.

    Args:
        data: folder of pictures, or any other source that `wmdd list data` names.
        recipe: name of a bench recipe or of a recipe, file with one, or a bench recipe; None = that of the data.
        out: folder of the bench; None = `runs/bench-DATA`, or `runs/bench-DATA-RECIPE`.
        store: folder of stage results, shared between runs.
        watcher: follows the progress.
        command: for the record.
        **changes: fields of `BenchRecipe` to replace: `methods=("random", "dm")`, `ipcs=(1, 10)`, `distill_seeds=3`.

    Returns:
        The folder and the contents of its `bench.json`.

    Raises:
        WmddError: the input cannot be used; one line says why. A failure in one cell is reported in the results.
    """
    source = str(data)
    given = recipe if isinstance(recipe, BenchRecipe) else choose_bench(source, recipe)
    name = None if isinstance(recipe, BenchRecipe) else recipe
    folder = Path(out) if out is not None else default_bench_out(source, name)
    run = run_bench(source, given.with_(**changes), out=folder, store=Path(store), watcher=watcher, command=command)
    write_bench(run.out)
    return run


def evaluate(
    distilled: str | Path | DistilledSet,
    data: str | Path,
    *,
    students: Sequence[str] = ("resnet18",),
    protocols: Sequence[str] = ("wmdd",),
    seeds: int = 3,
    labels: str = "both",
    settings: Mapping[str, Any] | None = None,
    watcher: Watcher | None = None,
) -> Evaluation:
    """Train students on a run's set and on its references, under one teacher; the same as `wmdd evaluate`.

    The scores join the run's `metrics.json` and report, where they replace older ones of the same students.

    Args:
        distilled: folder of a run, or the set that `wmdd.load` reads from it.
        data: source of the real images that the set was distilled from.
        students: networks.
        protocols: how they are trained.
        seeds: students for each row.
        labels: `"soft"`, `"hard"` or `"both"`.
        settings: more settings that replace the run's, such as `{"evaluate.epochs": 50, "device": "cpu"}`.
        watcher: follows the progress.

    Raises:
        WmddError: the input cannot be used; one line says why.
    """
    path = distilled.folder if isinstance(distilled, PortableSet) and distilled.folder else distilled
    if isinstance(path, DistilledSet):
        raise ConfigError("a set must be on disk to be evaluated; got one in memory; give the folder of its run")
    changes = {
        "evaluate": {"students": tuple(students), "protocols": tuple(protocols), "seeds": seeds, "labels": labels},
        **dict(settings or {}),
    }
    scores = evaluate_run(Path(path), str(data), changes, watcher=watcher)
    write_report(run_folder(Path(path)))
    return scores


def default_out(data: str, recipe: Recipe) -> Path:
    """Return the folder of a run without `--out`."""
    return Path("runs") / f"{_plain_name(data)}-{recipe.method}-ipc{recipe.ipc}"


def default_bench_out(data: str, recipe: str | Path | None) -> Path:
    """Return the folder of a bench without `--out`."""
    return Path("runs") / "-".join(["bench", _plain_name(data), *([Path(recipe).stem] if recipe else [])])


def _plain_name(data: str) -> str:
    name = data.removeprefix("hf:").rstrip("/").rpartition("/")[2]
    return name if name.strip(".") else Path(data).resolve().name or "data"
