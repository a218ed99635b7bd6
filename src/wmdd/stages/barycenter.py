"""Stage 3, barycenter: summarise each class's features by K atoms and their weights.

Per class: min over atoms and weights of W2² between the weighted atoms and the empirical measure of the features
(arXiv:2311.18531; the algorithm is Cuturi and Doucet's, ICML 2014). The mathematics is `wmdd.ot`; this file only
goes through the classes. Differs from the reference code, which starts from unscaled noise and fixes the weights at
1/K. For the ablation, other objectives can take the place of the exact distance; all are judged by it.
"""

from collections.abc import Callable

import numpy as np
import torch

from wmdd import ot
from wmdd.context import Context, stream_seed
from wmdd.errors import DataError
from wmdd.settings import BarycenterSettings
from wmdd.stages._stage import Stage
from wmdd.values import Barycenters, ClassStatistics

OBJECTIVES: dict[str, tuple[Callable[..., ot.Barycenter], tuple[str, ...]]] = {
    "wasserstein": (ot.barycenter, ("weights", "iterations", "step")),
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

    Classes are solved in threads; each has its own random stream, so their number does not change the answer.

    Raises:
        DataError: a class has fewer images than `ipc`.
    """
    ctx = ctx or Context()
    smallest = min(statistics.counts)
    if smallest < ipc:
        raise DataError(
            f"a class has too few images for its atoms; got {smallest} images and IPC {ipc}; lower --ipc to {smallest}"
        )
    solved: list[tuple[ot.Barycenter, float]] = []
    labels = range(len(statistics.counts))
    for label, (found, floor) in enumerate(
        ot.in_threads(lambda label: _one_class(statistics, settings, label, ipc, ctx), labels)
    ):
        solved.append((found, floor))
        ctx.progress(len(solved), len(labels))
        ctx.log(unit=f"class {label}", costs=list(found.trace), floor=floor)
    return _pack(solved)


def _one_class(
    statistics: ClassStatistics, settings: BarycenterSettings, label: int, ipc: int, ctx: Context
) -> tuple[ot.Barycenter, float]:
    """Solve one class; return its barycenter and its floor."""
    points = statistics.of_class(label).numpy().astype(np.float64)
    seed = stream_seed(ctx.seed, ctx.stage, label)
    start = ot.kmeans_plus_plus(points, ipc, np.random.default_rng(seed))
    solver, names = OBJECTIVES[settings.objective]
    taken = {name: getattr(settings, name) for name in names}
    result = solver(points, ipc, start=start, seed=seed, **taken)
    return result, min(result.cost, ot.floor(points, ipc, start=start))


def _pack(solved: list[tuple[ot.Barycenter, float]]) -> Barycenters:
    """Stack the classes."""
    results = [result for result, _ in solved]
    return Barycenters(
        atoms=torch.from_numpy(np.stack([result.atoms for result in results])).float(),
        weights=torch.from_numpy(np.stack([result.weights for result in results])),
        costs=torch.tensor([result.cost for result in results], dtype=torch.float64),
        floors=torch.tensor([floor for _, floor in solved], dtype=torch.float64),
        traces=tuple(tuple(float(cost) for cost in result.trace) for result in results),
        converged=tuple(bool(result.converged) for result in results),
    )


BARYCENTER = Stage(name="barycenter", version=2, run=barycenter, output=Barycenters, networks=False)
