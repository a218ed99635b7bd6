"""k-means: the real images nearest to the centres of k-means of the class's features."""

from wmdd.methods._method import Method, MethodSettings, Result, Stages
from wmdd.methods._work import seeing_all
from wmdd.methods.kits.coresets import K_MEANS as PICK_K_MEANS
from wmdd.stages.statistics import STATISTICS


def distill(stages: Stages, train: Result, teachers: tuple[Result, ...], recipe: MethodSettings) -> Result:
    """Choose the images by the teacher's features."""
    statistics = stages.run(STATISTICS, train, teachers[0], settings=recipe.statistics)
    return stages.run(PICK_K_MEANS, train, teachers[0], statistics, settings=recipe.kmeans, ipc=recipe.ipc)


K_MEANS = Method(
    name="k-means",
    source="Lloyd 1982, k-means++ of Arthur and Vassilvitskii 2007; as a coreset DC-BENCH, NeurIPS 2022",
    distill=distill,
    real=True,
    work=seeing_all,
)
