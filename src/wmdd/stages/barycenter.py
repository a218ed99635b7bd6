"""Stage 3, barycenter: summarise each class's features by K atoms and their weights.

Per class: min over atoms and weights of W2² between the weighted atoms and the empirical measure of the features
(arXiv:2311.18531; the algorithm is Cuturi and Doucet's, ICML 2014). The mathematics is `wmdd.ot`; this file only makes
a `Problem` of every class and hands it to the solver. Differs from the reference code, which starts from unscaled noise
and fixes the weights at 1/K. Every class is solved from several starts, of which the best is kept: one start may end
some per cent above it. For the ablation, other objectives can take the place of the exact distance; the result of
each is measured by it.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from wmdd import ot
from wmdd.context import Context, Saved, stream_seed
from wmdd.errors import DataError
from wmdd.settings import BarycenterSettings
from wmdd.stages.classes import classes_in_threads
from wmdd.stages.stage import Stage
from wmdd.values import Barycenters, ClassStatistics

OBJECTIVES: dict[str, tuple[Callable[..., ot.Barycenter], tuple[str, ...]]] = {
    "wasserstein": (ot.wasserstein_barycenter, ("weights", "iterations", "step")),
    "sliced": (ot.sliced_barycenter, ("iterations",)),
    "entropic": (ot.entropic_barycenter, ("iterations",)),
    "mmd_linear": (ot.mmd_linear, ()),
    "mmd_rbf": (ot.mmd_rbf, ("iterations",)),
    "mean": (ot.class_mean, ()),
    "kmeans": (ot.kmeans, ()),
}
"""What minimises each `objective`, and which of the settings it takes."""
_RESTARTED = frozenset({"wasserstein", "kmeans"})
"""Objectives that minimise the cost by which results are compared, so that the lowest of several is the best."""


def barycenter(
    statistics: ClassStatistics, settings: BarycenterSettings, *, ipc: int, ctx: Context | None = None
) -> Barycenters:
    """Return `ipc` atoms with weights for every class.

    Classes are solved in threads, each with a random stream of its own.

    Raises:
        DataError: a class has fewer images than `ipc`.
    """
    ctx = ctx or Context()
    smallest = min(statistics.counts)
    if smallest < ipc:
        raise DataError(
            f"a class has too few images for its atoms; got {smallest} images and IPC {ipc}; lower --ipc to {smallest}"
        )
    found = classes_in_threads(
        lambda label: _one_class(statistics, settings, label, ipc, ctx),
        len(statistics.counts),
        row=_row,
        ctx=ctx,
    )
    traces = tuple(tuple(trace) for trace in found.facts["traces"])
    return Barycenters(**found.tensors, traces=traces, converged=tuple(found.facts["converged"]))


def _row(solved: Saved) -> dict[str, Any]:
    """Return a class's row of the log."""
    weights = solved.tensors["weights"]
    return {
        "costs": solved.facts["traces"],
        "best_known": float(solved.tensors["best_known"]),
        "uniform": bool((weights == weights[0]).all()),
    }


def _one_class(statistics: ClassStatistics, settings: BarycenterSettings, label: int, ipc: int, ctx: Context) -> Saved:
    points = statistics.of_class(label).numpy().astype(np.float64)
    solver, names = OBJECTIVES[settings.objective]
    chosen = {name: getattr(settings, name) for name in names}
    found: list[ot.Barycenter] = []
    kmeans_costs: list[float] = []
    for problem in class_problems(points, ipc, starts=settings.starts, seed=ctx.seed, stage=ctx.stage, label=label):
        if not found or settings.objective in _RESTARTED:
            found.append(solver(problem, **chosen))
        kmeans_costs.append(ot.kmeans(problem).cost)
    solved = min(found, key=lambda each: each.cost)  # the first of equals
    return Saved(
        tensors={
            "atoms": torch.from_numpy(solved.atoms).float(),
            "weights": torch.from_numpy(solved.weights),
            "costs": torch.tensor(solved.cost, dtype=torch.float64),
            "best_known": torch.tensor(min(solved.cost, *kmeans_costs), dtype=torch.float64),
        },
        facts={"traces": [float(cost) for cost in solved.trace], "converged": bool(solved.converged)},
    )


def class_problems(
    points: NDArray[np.float64], count: int, *, starts: int, seed: int, stage: str, label: int
) -> Iterator[ot.Problem]:
    """Yield the problem of `count` atoms for a class's points `(n, D)` once for each of its starts.

    Each start is drawn from a stream of its own, so that more starts begin with the same ones. A single atom has a
    single optimum, the mean: then there is one start.
    """
    for number in range(starts if count > 1 else 1):
        own = stream_seed(seed, stage, label, *((number,) if number else ()))
        start = ot.kmeans_plus_plus(points, count, np.random.default_rng(own))
        yield ot.Problem.of(points, count, start=start, seed=own)


BARYCENTER = Stage(name="barycenter", version=3, run=barycenter, output=Barycenters, networks=False, workers="units")
