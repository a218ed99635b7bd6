"""DM: images that have the mean features of real images, for any random network."""

from wmdd.methods._method import Method, MethodSettings, Result, Stages
from wmdd.stages.match_means import MATCH_MEANS


def distill(stages: Stages, train: Result, teacher: Result, recipe: MethodSettings) -> Result:
    """Match means."""
    return stages.run(MATCH_MEANS, train, teacher, settings=recipe.dm, ipc=recipe.ipc)


DM = Method(
    name="dm",
    source="Zhao and Bilen, Dataset Condensation with Distribution Matching, WACV 2023, arXiv:2110.04181",
    distill=distill,
    networks=lambda recipe: (recipe.dm.arch,),
)
