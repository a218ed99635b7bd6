"""Stage 3, barycenter: summarise each class's features by K atoms and their weights.

Per class: min over atoms and weights of W2² between the weighted atoms and the empirical measure of the features
(arXiv:2311.18531; the algorithm is Cuturi and Doucet's, ICML 2014). The mathematics is `wmdd.ot`; this file only
goes through the classes. Differs from the reference code, which starts from unscaled noise and fixes the weights at
1/K.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from wmdd import ot
from wmdd.context import Context, stream_seed
from wmdd.errors import DataError
from wmdd.settings import BarycenterSettings
from wmdd.stages._stage import Stage
from wmdd.values import Barycenters, ClassStatistics


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
    done = 0
    solved: list[tuple[ot.Barycenter, float]] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for result in pool.map(lambda label: _one_class(statistics, settings, label, ipc, ctx), _labels(statistics)):
            solved.append(result)
            done += 1
            ctx.progress(done, len(statistics.counts))
            ctx.log(unit=f"class {done - 1}", costs=list(result[0].trace), floor=result[1])
    return _pack(solved)


def _labels(statistics: ClassStatistics) -> range:
    """Return all labels."""
    return range(len(statistics.counts))


def _one_class(
    statistics: ClassStatistics, settings: BarycenterSettings, label: int, ipc: int, ctx: Context
) -> tuple[ot.Barycenter, float]:
    """Solve one class; return its barycenter and its floor."""
    points = statistics.of_class(label).numpy().astype(np.float64)
    start = ot.kmeans_plus_plus(points, ipc, np.random.default_rng(stream_seed(ctx.seed, ctx.stage, label)))
    result = ot.barycenter(
        points, ipc, weights=settings.weights, iterations=settings.iterations, step=settings.step, start=start
    )
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


BARYCENTER = Stage(name="barycenter", version=1, run=barycenter, output=Barycenters, networks=False)
