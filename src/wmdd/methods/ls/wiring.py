"""Label solve: real images with the labels under which kernel regression predicts the others best."""

from wmdd.methods._method import Method, MethodSettings, Result, Stages
from wmdd.methods.kip.distill import LABEL_SOLVE
from wmdd.methods.kits.coresets import PickSettings


def distill(stages: Stages, train: Result, teachers: tuple[Result, ...], recipe: MethodSettings) -> Result:
    """Draw the images and solve for their labels."""
    return stages.run(LABEL_SOLVE, train, teachers[0], settings=PickSettings(), ipc=recipe.ipc)


LS = Method(
    name="ls",
    source="Dataset Meta-Learning from Kernel Ridge-Regression, ICLR 2021, arXiv:2011.00050",
    distill=distill,
    real=True,
)
