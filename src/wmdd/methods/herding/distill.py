"""Herding: real images whose mean feature follows the class's own (Welling, ICML 2009)."""

import numpy as np

from wmdd.context import Context
from wmdd.methods.kits.coresets import Points, Rows, choose_by_features, choosing
from wmdd.settings import NoSettings
from wmdd.stages.stage import Stage
from wmdd.values import ClassStatistics, DistilledSet, ImageSet, Teacher


def herding(points: Points, count: int) -> Rows:
    """Return `count` rows in the order in which herding takes them (Welling, ICML 2009; iCaRL, CVPR 2017).

    The k-th is the row not taken yet that brings the mean of the first k nearest to the mean of all points:
    argmin_j ||mu - (S + z_j) / k||, S the sum of those before. So a longer choice begins with the shorter one.
    """
    mean, norms = points.mean(axis=0), np.square(points).sum(axis=1)
    wanted = np.zeros_like(mean)
    chosen: list[int] = []
    for _ in range(count):
        wanted += mean  # k mu - S: the row that would make the mean exact
        distances = norms - 2.0 * (points @ wanted)
        distances[chosen] = np.inf
        chosen.append(int(distances.argmin()))
        wanted -= points[chosen[-1]]
    return np.array(chosen)


def pick_herding(
    train: ImageSet,
    teacher: Teacher,
    statistics: ClassStatistics,
    settings: NoSettings,
    *,
    ipc: int,
    ctx: Context | None = None,
) -> DistilledSet:
    """Return the `ipc` images of each class whose mean feature follows the class's own, in the order of herding.

    Raises:
        DataError: a class has fewer images than `ipc`, or teacher, images and statistics do not belong together.
    """
    del settings
    ctx = ctx or Context()
    return choose_by_features(
        "herding", train, teacher, statistics, ipc, choose=lambda points, _: herding(points, ipc), ctx=ctx
    )


HERDING = Stage(name="herding", version=1, run=pick_herding, output=DistilledSet, seeded=False, networks=False)

ALGORITHM = choosing(HERDING, NoSettings)
