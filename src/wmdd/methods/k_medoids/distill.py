"""k-medoids: the real images nearest to the atoms of the Wasserstein barycenter of their class.

The barycenter lies among the features as they are, so distances are measured there, not between rows of unit norm.
"""

import numpy as np

from wmdd.context import Context
from wmdd.errors import DataError
from wmdd.methods.algorithm import Algorithm, Result, Size, Stages, Work
from wmdd.methods.kits.coresets import Rows, choose_by_features, nearest_rows
from wmdd.settings import BarycenterSettings, NoSettings, Recipe, StatisticsSettings
from wmdd.stages.barycenter import BARYCENTER
from wmdd.stages.stage import Stage
from wmdd.stages.statistics import STATISTICS
from wmdd.values import Barycenters, ClassStatistics, DistilledSet, ImageSet, Teacher


def pick_medoids(
    train: ImageSet,
    teacher: Teacher,
    statistics: ClassStatistics,
    barycenters: Barycenters,
    settings: NoSettings,
    *,
    ctx: Context | None = None,
) -> DistilledSet:
    """Return a real image for each atom of each class, all different, all of equal weight.

    They are assigned to the atoms so that the sum of squared distances between features and atoms is least.

    Raises:
        DataError: teacher, images, statistics and barycenters do not belong together.
    """
    del settings
    classes, ipc, _ = barycenters.atoms.shape
    if classes != len(train.classes):
        raise DataError(
            f"barycenters and images do not belong together; got {classes} barycenters for {len(train.classes)} "
            "classes; give the barycenters of these images"
        )

    def choose(label: int) -> Rows:
        points = statistics.of_class(label).numpy().astype(np.float64)
        return nearest_rows(barycenters.atoms[label].numpy().astype(np.float64), points)

    return choose_by_features("k-medoids", train, teacher, statistics, ipc, choose=choose, ctx=ctx or Context())


K_MEDOIDS = Stage(
    name="k-medoids", version=1, run=pick_medoids, output=DistilledSet, seeded=False, networks=False, workers="units"
)


def distill(stages: Stages, train: Result, teachers: tuple[Result, ...], recipe: Recipe) -> Result:
    """Summarise each class by its barycenter, and take the images nearest to the atoms."""
    teacher = teachers[0]
    statistics = stages.run(STATISTICS, train, teacher, settings=recipe.of(StatisticsSettings))
    barycenters = stages.run(BARYCENTER, statistics, settings=recipe.of(BarycenterSettings), ipc=recipe.ipc)
    return stages.run(K_MEDOIDS, train, teacher, statistics, barycenters, settings=NoSettings())


def work(recipe: Recipe, size: Size) -> tuple[Work, ...]:
    """Count the pass over the real images."""
    return (Work(arch=recipe.squeeze.arch, forward=size.images),)


ALGORITHM = Algorithm(distill=distill, work=work)
