"""Which part of the real data belongs to each atom of a barycenter; shapes as in `wmdd.values`."""

from dataclasses import dataclass

from torch import Tensor

from wmdd.values.showing import short_repr

TILES = 4
"""Images of a cell that are listed by nearness, for a mosaic of 2 x 2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """The real images of each class, shared out among its atoms; positions are those of the images' set."""

    owners: Tensor
    """int64 `(N,)`: by position, the atom of its class that a real image belongs to, from 0."""
    medoids: Tensor
    """int64 `(C, K)`: positions of the images nearest to the atoms, one to one."""
    nearest: Tensor
    """int64 `(C, K, 4)`: positions of the images of a cell that are nearest to its atom, in rising order; where it has
    fewer, the class's nearest follow."""

    __repr__ = short_repr


@dataclass(frozen=True, slots=True, kw_only=True)
class CellStatistics:
    """Moments of what enters the BatchNorm layers for the images of each cell."""

    counts: Tensor
    """int64 `(C, K)`: images of each cell."""
    means: Tensor
    """float64 `(C, K, F)`; 0 for a cell without images."""
    variances: Tensor
    """float64 `(C, K, F)`, biased; 0 for a cell without images."""

    __repr__ = short_repr


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenImages:
    """Some of the real images."""

    positions: Tensor
    """int64 `(N',)`: theirs, rising."""

    __repr__ = short_repr
