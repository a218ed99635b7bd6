"""Stage 3, barycenter: summarise each class's features by K atoms and their weights.

Per class: min over atoms and weights of W2² between the weighted atoms and the empirical measure of the features
(arXiv:2311.18531; the algorithm is Cuturi and Doucet's, ICML 2014). The mathematics is `wmdd.ot`; this file only makes
a `Problem` of every class and hands it to the solver. Differs from the reference code, which starts from unscaled noise
and fixes the weights at 1/K. For the ablation, other objectives can take the place of the exact distance; the result of
each is measured by it.
"""

from collections.abc import Callable

import numpy as np
import torch

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
        row=lambda solved: {"costs": solved.facts["traces"], "floor": float(solved.tensors["floors"])},
        ctx=ctx,
    )
    traces = tuple(tuple(trace) for trace in found.facts["traces"])
    return Barycenters(**found.tensors, traces=traces, converged=tuple(found.facts["converged"]))


def _one_class(statistics: ClassStatistics, settings: BarycenterSettings, label: int, ipc: int, ctx: Context) -> Saved:
    points = statistics.of_class(label).numpy().astype(np.float64)
    seed = stream_seed(ctx.seed, ctx.stage, label)
    start = ot.kmeans_plus_plus(points, ipc, np.random.default_rng(seed))
    problem = ot.Problem.of(points, ipc, start=start, seed=seed)
    solver, names = OBJECTIVES[settings.objective]
    solved = solver(problem, **{name: getattr(settings, name) for name in names})
    return Saved(
        tensors={
            "atoms": torch.from_numpy(solved.atoms).float(),
            "weights": torch.from_numpy(solved.weights),
            "costs": torch.tensor(solved.cost, dtype=torch.float64),
            "floors": torch.tensor(min(solved.cost, ot.floor(problem)), dtype=torch.float64),
        },
        facts={"traces": [float(cost) for cost in solved.trace], "converged": bool(solved.converged)},
    )


BARYCENTER = Stage(name="barycenter", version=2, run=barycenter, output=Barycenters, networks=False, workers="units")
