"""MMD: WMDD whose images match all real features under a kernel, instead of the atoms of a barycenter."""

from wmdd.methods._method import Method, MethodSettings, Result, Stages
from wmdd.methods._work import inverting
from wmdd.methods.kits.inversion import INVERT
from wmdd.stages.statistics import STATISTICS


def distill(stages: Stages, train: Result, teachers: tuple[Result, ...], recipe: MethodSettings) -> Result:
    """Wire statistics and inversion; everything but the feature term is `recover`'s."""
    settings = recipe.recover.with_(feature_loss=f"mmd_{recipe.mmd.kernel}")
    statistics = stages.run(STATISTICS, train, teachers[0], settings=recipe.statistics)
    return stages.run(INVERT, train, teachers[0], statistics, settings=settings, ipc=recipe.ipc, method="mmd")


MMD = Method(
    name="mmd",
    source="the ablation of arXiv:2311.18531, to our own specification: no public code",
    distill=distill,
    needs_batchnorm=True,
    work=inverting,
)
