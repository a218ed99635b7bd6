"""Random real images: drawn uniformly without replacement, all of equal weight."""

import torch

from wmdd.context import Context
from wmdd.methods.algorithm import Algorithm, Result, Size, Stages, Work
from wmdd.methods.kits.coresets import real_set
from wmdd.settings import NoSettings, Recipe
from wmdd.stages.stage import Stage
from wmdd.values import DistilledSet, ImageSet, Teacher


def pick_random(
    train: ImageSet, teacher: Teacher, settings: NoSettings, *, ipc: int, ctx: Context | None = None
) -> DistilledSet:
    """Return `ipc` real images of each class, drawn uniformly without replacement, all of equal weight."""
    del settings
    ctx = ctx or Context()
    chosen: list[int] = []
    for label in range(len(train.classes)):
        members = train.of_class(label)
        order = torch.randperm(len(members), generator=ctx.generator(label))
        chosen += members[order[:ipc]].tolist()
    return real_set("random", train, teacher, chosen, ipc)


RANDOM = Stage(name="random", version=1, run=pick_random, output=DistilledSet, networks=False)


def distill(stages: Stages, train: Result, teachers: tuple[Result, ...], recipe: Recipe) -> Result:
    """Draw the images."""
    return stages.run(RANDOM, train, teachers[0], settings=NoSettings(), ipc=recipe.ipc)


def work(recipe: Recipe, size: Size) -> tuple[Work, ...]:
    """Count nothing: no network sees an image."""
    del recipe, size
    return ()


ALGORITHM = Algorithm(distill=distill, work=work)
