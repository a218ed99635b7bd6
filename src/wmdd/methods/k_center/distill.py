"""k-center: real images that leave no other image of the class far away (Gonzalez 1985)."""

import numpy as np

from wmdd import ot
from wmdd.context import Context
from wmdd.methods.kits.coresets import Points, Rows, choose_by_features, choosing
from wmdd.settings import NoSettings
from wmdd.stages.stage import Stage
from wmdd.values import ClassStatistics, DistilledSet, ImageSet, Teacher


def k_center(points: Points, count: int) -> Rows:
    """Return `count` rows by farthest-first traversal, a 2-approximation of k-center (Gonzalez 1985).

    It begins with the row nearest to the mean; each further one is the row farthest from those that are taken. Here
    too a longer choice begins with the shorter one.
    """
    chosen = [int(ot.squared_distances(points.mean(axis=0, keepdims=True), points)[0].argmin())]
    nearest = np.full(len(points), np.inf)
    while len(chosen) < count:
        nearest = np.minimum(nearest, ot.squared_distances(points[chosen[-1:]], points)[0])
        nearest[chosen] = -1.0  # below that of a row which is equal to one of them
        chosen.append(int(nearest.argmax()))
    return np.array(chosen)


def pick_k_center(
    train: ImageSet,
    teacher: Teacher,
    statistics: ClassStatistics,
    settings: NoSettings,
    *,
    ipc: int,
    ctx: Context | None = None,
) -> DistilledSet:
    """Return `ipc` images of each class by farthest-first traversal from the one nearest to the class's mean feature.

    Raises:
        DataError: a class has fewer images than `ipc`, or teacher, images and statistics do not belong together.
    """
    del settings
    ctx = ctx or Context()
    return choose_by_features(
        "k-center", train, teacher, statistics, ipc, choose=lambda points, _: k_center(points, ipc), ctx=ctx
    )


K_CENTER = Stage(name="k-center", version=1, run=pick_k_center, output=DistilledSet, seeded=False, networks=False)

ALGORITHM = choosing(K_CENTER, NoSettings)
