"""k-center: real images that leave no other image of the class far away, by farthest-first traversal."""

from wmdd.methods._method import Method, MethodSettings, Result, Stages
from wmdd.methods._work import seeing_all
from wmdd.methods.kits.coresets import K_CENTER as PICK_K_CENTER
from wmdd.methods.kits.coresets import PickSettings
from wmdd.stages.statistics import STATISTICS


def distill(stages: Stages, train: Result, teachers: tuple[Result, ...], recipe: MethodSettings) -> Result:
    """Choose the images by the teacher's features."""
    statistics = stages.run(STATISTICS, train, teachers[0], settings=recipe.statistics)
    return stages.run(PICK_K_CENTER, train, teachers[0], statistics, settings=PickSettings(), ipc=recipe.ipc)


K_CENTER = Method(
    name="k-center",
    source="Gonzalez 1985; as a coreset Sener and Savarese, ICLR 2018, arXiv:1708.00489",
    distill=distill,
    real=True,
    work=seeing_all,
)
