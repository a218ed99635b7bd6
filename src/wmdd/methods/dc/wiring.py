"""DC: images that give networks in training the gradients that real images give them."""

from wmdd.methods._method import Method, MethodSettings, Result, Stages
from wmdd.methods._work import matching_gradients
from wmdd.methods.kits.gradients import MATCH_GRADIENTS


def distill(stages: Stages, train: Result, teachers: tuple[Result, ...], recipe: MethodSettings) -> Result:
    """Match gradients."""
    return stages.run(MATCH_GRADIENTS, train, teachers[0], settings=recipe.dc, ipc=recipe.ipc, method="dc")


DC = Method(
    name="dc",
    source="Zhao, Mopuri and Bilen, Dataset Condensation with Gradient Matching, ICLR 2021, arXiv:2006.05929",
    distill=distill,
    networks=lambda recipe: (recipe.dc.arch,),
    work=lambda recipe, size: matching_gradients(recipe.dc, recipe.ipc, size),
)
