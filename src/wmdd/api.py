"""The commands as Python functions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wmdd.data.distilled import PortableSet
from wmdd.errors import ConfigError
from wmdd.pipeline.distill import DEFAULT_STORE, Run
from wmdd.pipeline.distill import distill as run_distill
from wmdd.pipeline.judging import evaluate_product, run_folder
from wmdd.pipeline.recipe import Recipe, read_recipe
from wmdd.pipeline.surroundings import Watcher
from wmdd.recipes import choose_recipe
from wmdd.report import write_report
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
        out: folder for what the run leaves behind; None = `runs/DATA-METHOD-ipcN`.
        store: folder of stage results, shared between runs.
        until: stop after this stage.
        watcher: hears how the run goes.
        command: for the record.
        **settings: settings that replace the recipe's: `ipc=1`, `recover={"lr": 0.1}`.

    Returns:
        The run's folder and the contents of its `metrics.json`.

    Raises:
        WmddError: the input cannot be used; one line says why.
    """
    source = str(data)
    base = recipe if isinstance(recipe, Recipe) else choose_recipe(source, recipe)
    chosen = base.with_settings(settings)
    place = Path(out) if out is not None else default_out(source, chosen)
    run = run_distill(source, chosen, out=place, store=Path(store), until=until, watcher=watcher, command=command)
    if run.metrics:
        write_report(run.out)
    return run


def evaluate(
    distilled: str | Path | DistilledSet,
    data: str | Path,
    *,
    students: Sequence[str] = ("resnet18",),
    protocols: Sequence[str] = ("wmdd",),
    seeds: int = 3,
    labels: str = "soft",
    settings: Mapping[str, Any] | None = None,
    watcher: Watcher | None = None,
) -> Evaluation:
    """Train students on a distilled set and on random real images, under one teacher; the same as `wmdd evaluate`.

    Args:
        distilled: folder of a run, or what `wmdd.load` gave for it.
        data: source of the real images that the set was distilled from.
        students: networks.
        protocols: how they are trained.
        seeds: students for each row.
        labels: `"soft"` or `"hard"`.
        settings: more settings, such as `{"evaluate.epochs": 50, "device": "cpu"}`.
        watcher: hears how it goes.

    Raises:
        WmddError: the input cannot be used; one line says why.
    """
    path = distilled.folder if isinstance(distilled, PortableSet) and distilled.folder else distilled
    if isinstance(path, DistilledSet):
        raise ConfigError("a set must be on disk to be evaluated; got one in memory; give the folder of its run")
    known = run_recipe(Path(path))
    recipe = read_recipe(known) if known.exists() else Recipe()
    changes = {
        "evaluate": {"students": tuple(students), "protocols": tuple(protocols), "seeds": seeds, "labels": labels},
        **dict(settings or {}),
    }
    return evaluate_product(Path(path), str(data), recipe.with_settings(changes), watcher=watcher)


def run_recipe(path: Path) -> Path:
    """Return where the recipe of a run lies, given its folder or the product in it."""
    return run_folder(path) / "recipe.yaml"


def default_out(data: str, recipe: Recipe) -> Path:
    """Return the folder of a run that was not told where to go."""
    name = data.removeprefix("hf:").rstrip("/").rpartition("/")[2] or "data"
    return Path("runs") / f"{name}-{recipe.method}-ipc{recipe.ipc}"
