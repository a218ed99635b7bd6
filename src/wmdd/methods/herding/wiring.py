"""Herding: real images whose mean feature follows the class's own, one after the other."""

from wmdd.methods._method import Method, MethodSettings, Result, Stages
from wmdd.methods._work import seeing_all
from wmdd.methods.kits.coresets import HERDING as PICK_HERDING
from wmdd.methods.kits.coresets import PickSettings
from wmdd.stages.statistics import STATISTICS


def distill(stages: Stages, train: Result, teachers: tuple[Result, ...], recipe: MethodSettings) -> Result:
    """Choose the images by the teacher's features."""
    statistics = stages.run(STATISTICS, train, teachers[0], settings=recipe.statistics)
    return stages.run(PICK_HERDING, train, teachers[0], statistics, settings=PickSettings(), ipc=recipe.ipc)


HERDING = Method(
    name="herding",
    source="Welling, ICML 2009; as a coreset iCaRL, CVPR 2017, arXiv:1611.07725",
    distill=distill,
    real=True,
    work=seeing_all,
)
