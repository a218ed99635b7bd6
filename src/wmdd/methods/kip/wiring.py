"""KIP: images on which kernel regression predicts the real ones."""

from wmdd.methods._method import Method, MethodSettings, Result, Stages
from wmdd.methods.kip.distill import KIP as INDUCE


def distill(stages: Stages, train: Result, teachers: tuple[Result, ...], recipe: MethodSettings) -> Result:
    """Optimise the images."""
    return stages.run(INDUCE, train, teachers[0], settings=recipe.kip, ipc=recipe.ipc)


KIP = Method(
    name="kip",
    source="Dataset Meta-Learning from Kernel Ridge-Regression, ICLR 2021, arXiv:2011.00050",
    distill=distill,
)
