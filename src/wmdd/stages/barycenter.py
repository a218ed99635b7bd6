"""Stage 3, barycenter: summarise each class's features by K atoms and their weights.

Per class: min over atoms and weights of W2² between the weighted atoms and the empirical measure of the features
(arXiv:2311.18531; the algorithm is Cuturi and Doucet's, ICML 2014). The mathematics is `wmdd.ot`; this file only makes
a `Problem` of every class and hands it to the solver. Differs from the reference code, which starts from unscaled noise
and fixes the weights at 1/K. For the ablation, other objectives can take the place of the exact distance; all are
judged by it.
"""

from collections.abc import Callable

import numpy as np
import torch

from wmdd import ot
from wmdd.context import Context, stream_seed
from wmdd.errors import DataError
from wmdd.settings import BarycenterSettings
from wmdd.stages.stage import Stage
from wmdd.values import Barycenters, ClassStatistics

_TENSORS = ("atoms", "weights", "costs", "floors")
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

    Classes are solved in threads, and saved as they are solved; each has its own random stream, so neither their number
    nor a stop changes the answer.

    Raises:
        DataError: a class has fewer images than `ipc`.
    """
    ctx = ctx or Context()
    smallest = min(statistics.counts)
    if smallest < ipc:
        raise DataError(
            f"a class has too few images for its atoms; got {smallest} images and IPC {ipc}; lower --ipc to {smallest}"
        )
    parts = _resumed(ctx)
    labels = range(sum(len(part.costs) for part in parts), len(statistics.counts))
    found = ot.in_threads(lambda label: _one_class(statistics, settings, label, ipc, ctx), labels)
    for label, part in zip(labels, found, strict=True):
        parts.append(part)
        ctx.log(unit=f"class {label}", costs=list(part.traces[0]), floor=float(part.floors))
        if ctx.due():
            _save(_joined(parts), ctx)
        ctx.progress(label + 1, len(statistics.counts))
    return _joined(parts)


def _one_class(
    statistics: ClassStatistics, settings: BarycenterSettings, label: int, ipc: int, ctx: Context
) -> Barycenters:
    points = statistics.of_class(label).numpy().astype(np.float64)
    seed = stream_seed(ctx.seed, ctx.stage, label)
    start = ot.kmeans_plus_plus(points, ipc, np.random.default_rng(seed))
    problem = ot.Problem.of(points, ipc, start=start, seed=seed)
    solver, names = OBJECTIVES[settings.objective]
    found = solver(problem, **{name: getattr(settings, name) for name in names})
    floor = min(found.cost, ot.floor(problem))
    return Barycenters(
        atoms=torch.from_numpy(found.atoms).float()[None],
        weights=torch.from_numpy(found.weights)[None],
        costs=torch.tensor([found.cost], dtype=torch.float64),
        floors=torch.tensor([floor], dtype=torch.float64),
        traces=(tuple(float(cost) for cost in found.trace),),
        converged=(bool(found.converged),),
    )


def _joined(parts: list[Barycenters]) -> Barycenters:
    """Return the classes of all parts in one record."""
    tensors = {name: torch.cat([getattr(part, name) for part in parts]) for name in _TENSORS}
    traces, converged = ([each for part in parts for each in getattr(part, name)] for name in ("traces", "converged"))
    return Barycenters(**tensors, traces=tuple(traces), converged=tuple(converged))


def _save(found: Barycenters, ctx: Context) -> None:
    """Keep the classes that are solved."""
    tensors = {name: getattr(found, name) for name in _TENSORS}
    ctx.save("classes", tensors, traces=found.traces, converged=found.converged)


def _resumed(ctx: Context) -> list[Barycenters]:
    """Return the classes that were kept, as one part or none."""
    saved = ctx.restore("classes")
    if saved is None:
        return []
    traces = tuple(tuple(trace) for trace in saved.facts["traces"])
    return [Barycenters(**saved.tensors, traces=traces, converged=tuple(saved.facts["converged"]))]


BARYCENTER = Stage(name="barycenter", version=2, run=barycenter, output=Barycenters, networks=False)
