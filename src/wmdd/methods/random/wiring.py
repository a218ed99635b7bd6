"""Random: real images drawn without replacement. The row that every other method has to beat."""

from wmdd.methods._method import Method, MethodSettings, Result, Size, Stages, Work
from wmdd.methods.kits.coresets import RANDOM as PICK_RANDOM
from wmdd.methods.kits.coresets import PickSettings


def distill(stages: Stages, train: Result, teachers: tuple[Result, ...], recipe: MethodSettings) -> Result:
    """Draw the images."""
    return stages.run(PICK_RANDOM, train, teachers[0], settings=PickSettings(), ipc=recipe.ipc)


def work(recipe: MethodSettings, size: Size) -> tuple[Work, ...]:
    """Count nothing: no network sees an image."""
    del recipe, size
    return ()


RANDOM = Method(
    name="random",
    source="the field's standard baseline",
    distill=distill,
    real=True,
    work=work,
)
