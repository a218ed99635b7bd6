"""CDA: SRe2L whose crops begin with the whole image and become smaller."""

from wmdd.methods._method import Method, MethodSettings, Result, Stages
from wmdd.methods._work import inverting
from wmdd.stages.invert import INVERT
from wmdd.stages.statistics import STATISTICS


def distill(stages: Stages, train: Result, teacher: Result, recipe: MethodSettings) -> Result:
    """Wire statistics and inversion; where `recover` names no curriculum, it is the paper's."""
    recover = recipe.recover
    curriculum = "cosine" if recover.curriculum == "none" else recover.curriculum
    settings = recover.with_(feature_loss="cross_entropy", bn="global", curriculum=curriculum)
    statistics = stages.run(STATISTICS, train, teacher, settings=recipe.statistics)
    return stages.run(INVERT, train, teacher, statistics, settings=settings, ipc=recipe.ipc, method="cda")


CDA = Method(
    name="cda",
    source="Dataset Distillation in Large Data Era, TMLR 2024, arXiv:2311.18838",
    distill=distill,
    needs_batchnorm=True,
    work=inverting,
)
