"""RDED: the crops of real images that the teacher finds easiest, tiled."""

from wmdd.methods._method import Method, MethodSettings, Result, Size, Stages, Work
from wmdd.methods.rded.distill import RDED as CHOOSE_CROPS


def distill(stages: Stages, train: Result, teachers: tuple[Result, ...], recipe: MethodSettings) -> Result:
    """Choose the crops and tile them."""
    return stages.run(CHOOSE_CROPS, train, teachers[0], settings=recipe.rded, ipc=recipe.ipc)


def work(recipe: MethodSettings, size: Size) -> tuple[Work, ...]:
    """Count the crops that the teacher looks at."""
    sampled = min(size.classes * recipe.rded.sample, size.images)
    return (Work(arch=recipe.squeeze.arch, forward=sampled * recipe.rded.crops),)


RDED = Method(
    name="rded",
    source="On the Diversity and Realism of Distilled Dataset, CVPR 2024, arXiv:2312.03526",
    distill=distill,
    real=True,
    work=work,
)
