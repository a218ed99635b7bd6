"""DD: images and step sizes that train a fresh network in a few steps, found by gradients through those steps."""

from wmdd.methods._method import Method, MethodSettings, Result, Stages
from wmdd.stages.dd import DD as DISTIL


def distill(stages: Stages, train: Result, teacher: Result, recipe: MethodSettings) -> Result:
    """Optimise the images."""
    return stages.run(DISTIL, train, teacher, settings=recipe.dd, ipc=recipe.ipc)


DD = Method(
    name="dd",
    source="Dataset Distillation, 2018, arXiv:1811.10959",
    distill=distill,
    networks=lambda recipe: (recipe.dd.arch,),
)
