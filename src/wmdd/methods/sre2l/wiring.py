"""SRe2L: images that the teacher classifies, under BatchNorm statistics of the whole training set."""

from wmdd.methods._method import Method, MethodSettings, Result, Stages
from wmdd.methods._work import inverting
from wmdd.methods.kits.inversion import INVERT
from wmdd.settings import RecoverSettings
from wmdd.stages.statistics import STATISTICS


def distill(stages: Stages, train: Result, teachers: tuple[Result, ...], recipe: MethodSettings) -> Result:
    """Wire statistics and inversion; everything but the two losses is `recover`'s."""
    return invert_whole_set(stages, train, teachers[0], recipe, recover=recipe.recover, method="sre2l")


def invert_whole_set(
    stages: Stages, train: Result, teacher: Result, recipe: MethodSettings, *, recover: RecoverSettings, method: str
) -> Result:
    """Wire statistics and inversion under SRe2L's two losses; what descends from it says how else it recovers."""
    settings = recover.with_(feature_loss="cross_entropy", bn="global")
    statistics = stages.run(STATISTICS, train, teacher, settings=recipe.statistics)
    return stages.run(INVERT, train, teacher, statistics, settings=settings, ipc=recipe.ipc, method=method)


SRE2L = Method(
    name="sre2l",
    source="Squeeze, Recover and Relabel, NeurIPS 2023, arXiv:2306.13092",
    distill=distill,
    needs_batchnorm=True,
    work=inverting,
)
