"""The commands as Python functions: `distill`, `evaluate` and `bench`, and those that only look at what is there.

A function resolves its arguments to the request that the words of its command would make (`wmdd.requests`); `make_*`
(`wmdd.making`) carries a request out, for both.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wmdd.evaluation.comparison import Comparison
from wmdd.inspecting import predict, report, status
from wmdd.making import make_bench, make_export, make_run, make_scores, make_worth
from wmdd.pipeline.bench import BenchRun
from wmdd.pipeline.bench_recipe import BenchRecipe
from wmdd.pipeline.doctor import examine as doctor
from wmdd.pipeline.run import Run
from wmdd.pipeline.screen import following
from wmdd.pipeline.watchers import Watcher
from wmdd.product.reading import folder_of
from wmdd.requests.bench import bench_request
from wmdd.requests.distill import distill_request
from wmdd.requests.evaluate import evaluate_request
from wmdd.requests.inspect import export_request, list_names
from wmdd.requests.worth import worth_request
from wmdd.settings import Recipe
from wmdd.values import DistilledSet, Evaluation

__all__ = [
    "bench",
    "distill",
    "doctor",
    "evaluate",
    "export",
    "list_names",
    "make_bench",
    "make_export",
    "make_run",
    "make_scores",
    "make_worth",
    "predict",
    "report",
    "status",
    "worth",
]


def distill(
    data: str | Path,
    /,
    *,
    method: str | None = None,
    recipe: str | Path | Recipe | None = None,
    out: str | Path | None = None,
    store: str | Path | None = None,
    until: str | None = None,
    fresh: str | None = None,
    quiet: bool = False,
    watcher: Watcher | None = None,
    command: str = "",
    **settings: Any,
) -> Run:
    """Distil a data set, evaluate the result beside random real images, and write a report; the same as `wmdd distill`.

    Args:
        data: folder of pictures, or any other source that `wmdd list data` names.
        method: how images are distilled; None = the recipe's, else wmdd.
        recipe: name of a recipe, file with one, or a recipe; None = the one called like the data, else the defaults.
        out: folder of the run; None = `runs/DATA-METHOD-ipcN`.
        store: folder of stage results, shared between runs; None = `runs/.store`.
        until: stop after this stage.
        fresh: make the results of this stage anew, although they are there; each takes the old one's place once it is
            finished, and what rests on it follows if it came out otherwise.
        quiet: show nothing; without it, and without a watcher, progress is shown, in a notebook too.
        watcher: follows the progress of the run.
        command: for the record.
        **settings: settings that replace the recipe's: `ipc=1`, `recover={"lr": 0.1}`, `**{"recover.lr": 0.1}`.

    Returns:
        The run's folder and the contents of its `metrics.json`.

    Raises:
        WmddError: the input cannot be used; one line says why.
    """
    given = _given(settings, method=method, recipe=recipe, out=out, store=store, until=until, fresh=fresh)
    request = distill_request(data, given, recipe if isinstance(recipe, Recipe) else None)
    request.require_inputs()
    with following(watcher, quiet=quiet) as follower:
        return make_run(request, watcher=follower, command=command)


def evaluate(
    distilled: str | Path | DistilledSet,
    data: str | Path,
    *,
    students: Sequence[str] | None = None,
    protocols: Sequence[str] | None = None,
    seeds: int | None = None,
    labels: str | None = None,
    epochs: int | None = None,
    device: str | None = None,
    precision: str | None = None,
    fresh: str | None = None,
    quiet: bool = False,
    watcher: Watcher | None = None,
    **settings: Any,
) -> Evaluation:
    """Train students on a run's set and on its references, under one teacher; the same as `wmdd evaluate`.

    What is None is as in the run. The scores join the run's `metrics.json` and report, where they replace older ones of
    the same students.

    Args:
        distilled: folder of a run or of the set in it, or the set that `wmdd.load` reads from it.
        data: source of the real images that the set was distilled from.
        students: networks.
        protocols: how they are trained.
        seeds: students for each row.
        labels: `"soft"`, `"hard"` or `"both"`.
        epochs: epochs instead of the protocol's own.
        device: where networks compute.
        precision: type in which they do.
        fresh: make the results of this stage anew, although they are there; each takes the old one's place once it is
            finished, and what rests on it follows if it came out otherwise.
        quiet: show nothing; without it, and without a watcher, progress is shown, in a notebook too.
        watcher: follows the progress.
        **settings: more settings of the evaluation that replace the run's: `relabel={"teachers": ()}`,
            `**{"data.workers": 2}`. Here None is a value: `evaluate={"epochs": None}` = the protocol's own epochs,
            whatever the run had.

    Raises:
        WmddError: the input cannot be used; one line says why.
    """
    own = {"students": students, "protocols": protocols, "seeds": seeds, "labels": labels}
    given = _given(settings, data=data, **own, epochs=epochs, device=device, precision=precision, fresh=fresh)
    request = evaluate_request(folder_of(distilled), given)
    request.require_inputs()
    with following(watcher, quiet=quiet) as follower:
        return make_scores(request, watcher=follower)


def worth(
    distilled: str | Path | DistilledSet,
    data: str | Path,
    *,
    multiples: Sequence[int] | None = None,
    draws: int | None = None,
    students: Sequence[str] | None = None,
    protocols: Sequence[str] | None = None,
    seeds: int | None = None,
    labels: str | None = None,
    epochs: int | None = None,
    device: str | None = None,
    precision: str | None = None,
    fresh: str | None = None,
    quiet: bool = False,
    watcher: Watcher | None = None,
    **settings: Any,
) -> tuple[Comparison, ...]:
    """Find out how many random real images one image of a run's set is worth; the same as `wmdd worth`.

    Students learn from random real images in growing numbers, under the rules and in the number of steps of those of
    the set. Their scores join the run's `metrics.json` and report. What is None is as in the run.

    Args:
        distilled: folder of a run or of the set in it, or the set that `wmdd.load` reads from it.
        data: source of the real images that the set was distilled from.
        multiples: numbers of random images, in units of the set's, beside that number itself; None = 2, 3, 5, 10, as
            far as the data have so many.
        draws: how often random images are drawn, from the run's seed and those after it; None = 3.
        students: networks.
        protocols: how they are trained.
        seeds: students of each draw.
        labels: `"soft"`, `"hard"` or `"both"`.
        epochs: epochs instead of the protocol's own.
        device: where networks compute.
        precision: type in which they do.
        fresh: make the results of this stage anew, although they are there; each takes the old one's place once it is
            finished, and what rests on it follows if it came out otherwise.
        quiet: show nothing; without it, and without a watcher, progress is shown, in a notebook too.
        watcher: follows the progress.
        **settings: more settings of the evaluation that replace the run's, as for `evaluate`.

    Returns:
        For each student, protocol and kind of labels, the set (`row`) beside random images (`block.curve`), with its
        exchange rate (`worth.rate`).

    Raises:
        WmddError: the input cannot be used; one line says why.
    """
    own = {"multiples": multiples, "draws": draws, "students": students, "protocols": protocols, "seeds": seeds}
    given = _given(
        settings, data=data, **own, labels=labels, epochs=epochs, device=device, precision=precision, fresh=fresh
    )
    request = worth_request(folder_of(distilled), given)
    request.require_inputs()
    with following(watcher, quiet=quiet) as follower:
        return make_worth(request, watcher=follower)


def bench(
    data: str | Path,
    /,
    *,
    methods: Sequence[str] | None = None,
    ipcs: Sequence[int] | None = None,
    students: Sequence[str] | None = None,
    protocols: Sequence[str] | None = None,
    seeds: int | None = None,
    distill_seeds: int | None = None,
    losses: bool | None = None,
    worth: bool | None = None,
    recipe: str | Path | BenchRecipe | None = None,
    out: str | Path | None = None,
    store: str | Path | None = None,
    fresh: str | None = None,
    quiet: bool = False,
    watcher: Watcher | None = None,
    command: str = "",
    **settings: Any,
) -> BenchRun:
    """Compare methods on a data set and write tables and a page; the same as `wmdd bench`.

    What is None is as in the recipe.

    Args:
        data: folder of pictures, or any other source that `wmdd list data` names.
        methods: the rows: methods, variants of the recipe, or `"all"`.
        ipcs: images per class.
        students: networks.
        protocols: how they are trained.
        seeds: students for each set, student and protocol.
        distill_seeds: sets for each row and number of images per class.
        losses: whether every set is measured by the losses of distillation too, for `predict`.
        worth: whether every row is held against random real images in growing numbers.
        recipe: name of a bench recipe or of a recipe, file with one, or a bench recipe; None = that of the data.
        out: folder of the bench; None = `runs/bench-DATA`, or `runs/bench-DATA-RECIPE`.
        store: folder of stage results, shared between runs; None = `runs/.store`.
        fresh: make the results of this stage anew, although they are there; each takes the old one's place once it is
            finished, and what rests on it follows if it came out otherwise.
        quiet: show nothing; without it, and without a watcher, progress is shown, in a notebook too.
        watcher: follows the progress.
        command: for the record.
        **settings: settings of every cell that replace the recipe's: `recover={"lr": 0.1}`.

    Returns:
        The folder and the contents of its `bench.json`.

    Raises:
        WmddError: the input cannot be used; one line says why. A failure in one cell is reported in the results.
    """
    table = {"methods": methods, "ipcs": ipcs, "students": students, "protocols": protocols, "seeds": seeds}
    asked = {"distill_seeds": distill_seeds, "losses": losses, "worth": worth}
    given = _given(settings, **table, **asked, recipe=recipe, out=out, store=store, fresh=fresh)
    request = bench_request(data, given, recipe if isinstance(recipe, BenchRecipe) else None)
    request.require_inputs()
    with following(watcher, quiet=quiet) as follower:
        return make_bench(request, watcher=follower, command=command)


def export(
    distilled: str | Path | DistilledSet, *, format: str, to: str | Path, labels: str | None = None,
    top_k: int | None = None
) -> Path:  # fmt: skip
    """Write the images of a set for other programs, and return the folder; the same as `wmdd export`.

    Args:
        distilled: folder of a run or of the set in it, or the set that `wmdd.load` reads from it.
        format: `"imagefolder"`, `"parquet"` or `"safetensors"`; see `wmdd.product.writing.export_set`.
        to: new or empty folder.
        labels: of `"parquet"`: `"topk"` writes soft labels too, the `top_k` largest logits in 8 bits, for `wmdd.load`.
        top_k: None = as many as `relabel.top_k` has by default.

    Raises:
        WmddError: the input cannot be used; one line says why.
    """
    request = export_request(folder_of(distilled), _given({}, format=format, to=to, labels=labels, top_k=top_k))
    request.require_inputs()
    return make_export(request)


def _given(settings: Mapping[str, Any], **own: Any) -> dict[str, Any]:
    """Return arguments by name: of a function's own ones those that are not None, and no recipe, which has no name."""
    named = {name: value for name, value in own.items() if not isinstance(value, Recipe | BenchRecipe)}
    return {**{name: value for name, value in named.items() if value is not None}, **settings}
