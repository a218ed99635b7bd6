"""Pools of real images: what students would learn from if more real images than a distilled set has were kept.

An epoch of such a student is as long as one on a distilled set of M = C · ipc images. It has M images of the pool,
taken one after the other from an endless sequence of random permutations of it, so that none is seen twice before every
other was seen once. Nothing else differs: views, labels, batches and the number of steps are those of the set.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from wmdd.context import Context
from wmdd.data.real_sets import random_positions, real_set
from wmdd.evaluation.fingerprints import short_digest
from wmdd.evaluation.real_names import pool_set
from wmdd.values import DistilledSet, ImageSet, Teacher


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Real images from which each epoch takes as many as a distilled set has; only these are in memory."""

    name: str
    positions: Tensor
    """int64 `(P,)`: the images of the pool among those for training, class by class."""
    train: ImageSet
    teacher: Teacher
    """The images have its normalisation."""
    ipc: int
    ctx: Context

    @classmethod
    def of(cls, train: ImageSet, teacher: Teacher, *, ipc: int, per_class: int | None, ctx: Context) -> "Pool":
        """Return the pool of `per_class` random images of each class, drawn by the run's seed; None = of all images.

        Pools of one seed are nested, and the one of `ipc` images holds those that method `random` draws.

        Raises:
            DataError: a class has fewer images.
        """
        if per_class is None:
            positions = train.labels.argsort(stable=True)
        else:
            positions = random_positions(train, per_class, ctx.seed)
        name = pool_set(per_class, ipc)
        return cls(name=name, positions=positions, train=train, teacher=teacher, ipc=ipc, ctx=ctx)

    @property
    def digest(self) -> str:
        """Digest of the pool: equal pools have equal ones, whatever the seed that drew them."""
        return short_digest([self.train.fingerprint.encode(), self.positions.numpy().tobytes()])

    def __call__(self, seed: int, epoch: int) -> DistilledSet:
        """Return the images of an epoch of the student with this seed."""
        taken = self.taken(seed, epoch).tolist()
        return real_set(self.name, self.train, self.teacher, taken, self.ipc, workers=self.ctx.workers)

    def taken(self, seed: int, epoch: int) -> Tensor:
        """Return the positions of these images, int64 `(M,)`, in the order in which the pool has them."""
        size, count = len(self.positions), self.ipc * len(self.train.classes)
        numbers = torch.arange(epoch * count, (epoch + 1) * count)
        passes = numbers // size
        rows = [
            torch.randperm(size, generator=self.ctx.generator("pool", seed, number))[numbers[passes == number] % size]
            for number in passes.unique().tolist()
        ]
        return self.positions[torch.cat(rows).sort().values]
