"""CDA: SRe2L whose crops begin with the whole image and become smaller."""

from wmdd.methods._method import Method, MethodSettings, Result, Stages
from wmdd.methods._work import inverting
from wmdd.methods.sre2l.wiring import invert_whole_set


def distill(stages: Stages, train: Result, teachers: tuple[Result, ...], recipe: MethodSettings) -> Result:
    """Wire statistics and inversion; where `recover` names no curriculum, it is the paper's."""
    curriculum = "cosine" if recipe.recover.curriculum == "none" else recipe.recover.curriculum
    recover = recipe.recover.with_(curriculum=curriculum)
    return invert_whole_set(stages, train, teachers[0], recipe, recover=recover, method="cda")


CDA = Method(
    name="cda",
    source="Dataset Distillation in Large Data Era, TMLR 2024, arXiv:2311.18838",
    distill=distill,
    needs_batchnorm=True,
    work=inverting,
)
