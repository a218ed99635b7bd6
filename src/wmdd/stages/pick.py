"""Real images instead of synthetic ones: the baselines that choose and optimise nothing join the chain here."""

import torch

from wmdd.context import Context
from wmdd.data.loading import centre_crop
from wmdd.settings import Section
from wmdd.stages._stage import Stage
from wmdd.values import DistilledSet, ImageSet, Teacher


class PickSettings(Section):
    """Nothing to set: the seed is the run's."""


def pick_random(
    train: ImageSet, teacher: Teacher, settings: PickSettings, *, ipc: int, ctx: Context | None = None
) -> DistilledSet:
    """Return `ipc` real images of each class, drawn uniformly without replacement, all of equal weight."""
    del settings
    ctx = ctx or Context()
    chosen: list[int] = []
    for label in range(len(train.classes)):
        members = train.of_class(label)
        order = torch.randperm(len(members), generator=ctx.generator(label))
        chosen += members[order[:ipc]].tolist()
    return DistilledSet(
        method="random",
        images=centre_crop(train.images.fetch(chosen), train.image_size).contiguous(),
        labels=train.labels[chosen],
        weights=torch.full((len(chosen),), 1 / ipc),
        classes=train.classes,
        mean=teacher.mean,
        std=teacher.std,
    )


RANDOM = Stage(name="random", version=1, run=pick_random, output=DistilledSet, networks=False)
