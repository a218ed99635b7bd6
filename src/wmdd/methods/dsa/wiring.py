"""DSA: gradient matching under a transform that real and distilled images share."""

from wmdd.methods._method import Method, MethodSettings, Result, Stages
from wmdd.methods._work import matching_gradients
from wmdd.methods.kits.gradients import MATCH_GRADIENTS


def distill(stages: Stages, train: Result, teachers: tuple[Result, ...], recipe: MethodSettings) -> Result:
    """Match gradients under augmentation."""
    return stages.run(MATCH_GRADIENTS, train, teachers[0], settings=recipe.dsa, ipc=recipe.ipc, method="dsa")


DSA = Method(
    name="dsa",
    source="Zhao and Bilen, Dataset Condensation with Differentiable Siamese Augmentation, ICML 2021, arXiv:2102.08259",
    distill=distill,
    networks=lambda recipe: (recipe.dsa.arch,),
    work=lambda recipe, size: matching_gradients(recipe.dsa, recipe.ipc, size),
)
