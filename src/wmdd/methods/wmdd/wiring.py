"""WMDD: features → Wasserstein barycenter → images that hit its atoms under per-class BatchNorm statistics."""

from wmdd.methods._method import Method, MethodSettings, Result, Stages
from wmdd.methods._work import inverting
from wmdd.stages.barycenter import BARYCENTER
from wmdd.stages.recover import RECOVER
from wmdd.stages.statistics import STATISTICS


def distill(stages: Stages, train: Result, teachers: tuple[Result, ...], recipe: MethodSettings) -> Result:
    """Wire statistics, barycenter and recover."""
    statistics = stages.run(STATISTICS, train, teachers[0], settings=recipe.statistics)
    barycenters = stages.run(BARYCENTER, statistics, settings=recipe.barycenter, ipc=recipe.ipc)
    return stages.run(RECOVER, train, teachers[0], statistics, barycenters, settings=recipe.recover, method="wmdd")


WMDD = Method(
    name="wmdd",
    source="Dataset Distillation via the Wasserstein Metric, ICCV 2025, arXiv:2311.18531",
    distill=distill,
    needs_batchnorm=True,
    work=inverting,
)
