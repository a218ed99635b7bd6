"""DD: images and step sizes that train a fresh network in a few steps, found by gradients through those steps."""

from wmdd.methods._method import Method, MethodSettings, Result, Size, Stages, Work
from wmdd.methods._work import SECOND_ORDER
from wmdd.methods.dd.distill import DD as DISTIL


def distill(stages: Stages, train: Result, teachers: tuple[Result, ...], recipe: MethodSettings) -> Result:
    """Optimise the images."""
    return stages.run(DISTIL, train, teachers[0], settings=recipe.dd, ipc=recipe.ipc)


def work(recipe: MethodSettings, size: Size) -> tuple[Work, ...]:
    """Count the students' steps, each on one image of each class, and the real images that judge them."""
    taught = recipe.ipc * recipe.dd.epochs * size.classes
    each = SECOND_ORDER * taught + recipe.dd.batch
    return (Work(arch=recipe.dd.arch, both=recipe.dd.iterations * recipe.dd.networks * each),)


DD = Method(
    name="dd",
    source="Dataset Distillation, 2018, arXiv:1811.10959",
    distill=distill,
    networks=lambda recipe: (recipe.dd.arch,),
    work=work,
)
