"""WMDD's wiring: statistics → barycenter → recover (arXiv:2311.18531)."""

from wmdd.methods.algorithm import Algorithm, Result, Stages
from wmdd.methods.kits.inversion import recovery_work
from wmdd.settings import BarycenterSettings, Recipe, RecoverSettings, StatisticsSettings
from wmdd.stages.barycenter import BARYCENTER
from wmdd.stages.recover import RECOVER
from wmdd.stages.statistics import STATISTICS


def distill(stages: Stages, train: Result, teachers: tuple[Result, ...], recipe: Recipe) -> Result:
    """Summarise each class by its barycenter and optimise images towards the atoms."""
    teacher = teachers[0]
    statistics = stages.run(STATISTICS, train, teacher, settings=recipe.of(StatisticsSettings))
    barycenters = stages.run(BARYCENTER, statistics, settings=recipe.of(BarycenterSettings), ipc=recipe.ipc)
    settings = recipe.of(RecoverSettings)
    return stages.run(RECOVER, train, teacher, statistics, barycenters, settings=settings, method="wmdd")


ALGORITHM = Algorithm(distill=distill, work=recovery_work)
