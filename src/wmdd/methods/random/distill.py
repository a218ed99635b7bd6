"""Random real images: drawn uniformly without replacement, all of equal weight."""

from wmdd.context import Context
from wmdd.data.real_sets import random_positions, real_set
from wmdd.methods.algorithm import Algorithm, Result, Size, Stages, Work
from wmdd.settings import NoSettings, Recipe
from wmdd.stages.stage import Stage
from wmdd.values import DistilledSet, ImageSet, Teacher


def pick_random(
    train: ImageSet, teacher: Teacher, settings: NoSettings, *, ipc: int, ctx: Context | None = None
) -> DistilledSet:
    """Return `ipc` real images of each class, drawn uniformly without replacement, all of equal weight."""
    del settings
    ctx = ctx or Context()
    chosen = random_positions(train, ipc, ctx.seed)
    return real_set("random", train, teacher, chosen.tolist(), ipc, workers=ctx.workers, make=ctx.scratch)


RANDOM = Stage(name="random", version=1, run=pick_random, output=DistilledSet, networks=False)


def distill(stages: Stages, train: Result, teachers: tuple[Result, ...], recipe: Recipe) -> Result:
    """Draw the images."""
    return stages.run(RANDOM, train, teachers[0], settings=NoSettings(), ipc=recipe.ipc)


def work(recipe: Recipe, size: Size) -> tuple[Work, ...]:
    """Count nothing: no network sees an image."""
    del recipe, size
    return ()


ALGORITHM = Algorithm(distill=distill, work=work)
