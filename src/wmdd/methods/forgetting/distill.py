"""Forgetting: real images by how often a network forgot them while it was trained (Toneva et al., ICLR 2019)."""

from typing import Literal

import numpy as np
import torch

from wmdd.context import Context
from wmdd.methods.algorithm import Algorithm, Result, Size, Stages, Work, squeezing_of
from wmdd.methods.forgetting import ForgettingSettings
from wmdd.methods.kits.coresets import Rows, choose_by_dynamics
from wmdd.settings import Recipe
from wmdd.stages.dynamics import DYNAMICS
from wmdd.stages.stage import Stage
from wmdd.values import DistilledSet, ImageSet, Teacher, TrainingDynamics


def forgetting_order(dynamics: TrainingDynamics, keep: Literal["easy", "hard"]) -> Rows:
    """Return the positions of all images, int64 `(N,)`, those to be taken first in front.

    `easy`: fewest forgetting events first, of equals the one with the largest mean probability of its class. `hard`:
    the reverse. In both, images that were never learned come last, the most probable of them first: in the paper their
    events are infinite, and many have a wrong label. What is equal in all this stays in stored order.
    """
    events, confidence = dynamics.events.numpy(), dynamics.confidence.numpy()
    learned = dynamics.learned.numpy() > 0
    sign = np.where(learned & (keep == "hard"), -1, 1)
    return np.lexsort((-sign * confidence, sign * events, ~learned))


def pick_by_forgetting(
    train: ImageSet,
    teacher: Teacher,
    dynamics: TrainingDynamics,
    settings: ForgettingSettings,
    *,
    ipc: int,
    ctx: Context | None = None,
) -> DistilledSet:
    """Return the first `ipc` images of each class in the order of `forgetting_order`, all of equal weight.

    `teacher` gives the normalisation alone.

    Raises:
        DataError: a class has fewer images than `ipc`, or teacher, images and dynamics do not belong together.
    """
    return choose_by_dynamics(
        "forgetting",
        train,
        teacher,
        dynamics,
        ipc,
        order=lambda: torch.from_numpy(forgetting_order(dynamics, settings.keep)),
        logged={"events": dynamics.events, "learned": dynamics.learned},
        ctx=ctx or Context(),
    )


FORGETTING = Stage(
    name="forgetting", version=1, run=pick_by_forgetting, output=DistilledSet, seeded=False, networks=False
)


def distill(stages: Stages, train: Result, teachers: tuple[Result, ...], recipe: Recipe) -> Result:
    """Record the dynamics of a network that is trained as the teacher would be, and choose by them."""
    recorded = stages.run(DYNAMICS, train, settings=recipe.squeeze.without_checkpoint())
    return stages.run(FORGETTING, train, teachers[0], recorded, settings=recipe.of(ForgettingSettings), ipc=recipe.ipc)


def work(recipe: Recipe, size: Size) -> tuple[Work, ...]:
    """Count the training of the recorded network, whatever the teacher is."""
    return (squeezing_of(recipe.squeeze.arch, recipe, size),)


ALGORITHM = Algorithm(distill=distill, work=work)
