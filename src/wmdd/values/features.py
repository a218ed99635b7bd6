"""What a teacher is, what it sees of the real data, and what summarises that; shapes as in `wmdd.values`."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from wmdd.mapped import taken
from wmdd.values.classes import require_same_classes
from wmdd.values.showing import short_repr


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """Everything needed to build a network again, except its weights."""

    arch: str
    num_classes: int
    channels: int
    image_size: int
    stem: str
    """`"imagenet"` or `"small"`, already resolved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Teacher:
    """A trained classifier with the class order and the normalisation it was trained under."""

    spec: ModelSpec
    weights: Mapping[str, Tensor]
    """State dict on the CPU."""
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    """Per channel, of pixels in [0, 1]."""
    std: tuple[float, ...]
    top1: float
    """Per cent of the validation images, last epoch."""

    __repr__ = short_repr

    @property
    def image_size(self) -> int:
        """Side R of the images that its network sees."""
        return self.spec.image_size

    def require_classes(self, classes: tuple[str, ...]) -> None:
        """Raise `DataError` if the images have another class order."""
        require_same_classes("teacher", self.classes, classes)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassFeatures:
    """Features of real images or of views of them, class by class."""

    features: Tensor
    """float32 `(N, D)`: penultimate features, sorted by class, stored order within a class. May be memory-mapped."""
    counts: tuple[int, ...]
    """Rows of each class; class k owns rows `sum(counts[:k])` to `sum(counts[:k+1])`."""

    __repr__ = short_repr

    def of_class(self, label: int) -> Tensor:
        """Return the features of class `label`, `(n_k, D)`."""
        start = sum(self.counts[:label])
        return taken(self.features, slice(start, start + self.counts[label]))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassStatistics(ClassFeatures):
    """What the teacher sees of each class of the real data: the features of all images, and moments."""

    layers: tuple[str, ...]
    """Names of the L BatchNorm layers in the order in which their inputs stand in `means`."""
    widths: tuple[int, ...]
    """Channels of each layer; they add up to F."""
    means: Tensor
    """float64 `(C, F)`: mean of every BatchNorm layer's input over a class's images and positions."""
    variances: Tensor
    """float64 `(C, F)`: biased variance of the same."""

    __repr__ = short_repr


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerStatistics:
    """Moments of what enters each BatchNorm and each convolution of a teacher, over all real images.

    There is a term for each layer and kind of statistics; the entries of all terms stand side by side, S in all.
    """

    layers: tuple[str, ...]
    """Of each term: name of its layer; the terms of a layer are neighbours."""
    kinds: tuple[str, ...]
    """Of each term: `"channels"`, or `"patches"` for the 4 x 4 cells of a convolution's input."""
    widths: tuple[int, ...]
    """Of each term: its channels or cells; they add up to S."""
    means: Tensor
    """float64 `(S,)`: over images and positions, or over images, channels and the pixels of the cell."""
    variances: Tensor
    """float64 `(S,)`: biased."""

    __repr__ = short_repr


@dataclass(frozen=True, slots=True, kw_only=True)
class Barycenters:
    """Per class, K atoms and their weights."""

    atoms: Tensor
    """float32 `(C, K, D)`."""
    weights: Tensor
    """float64 `(C, K)`; each row lies in the simplex."""
    costs: Tensor
    """float64 `(C,)`: W2² between the barycenter and the class's features."""
    best_known: Tensor
    """float64 `(C,)`: lowest cost known, from k-means run to convergence from the same starts or from the barycenter.
    No bound: other starts may find less."""
    traces: tuple[tuple[float, ...], ...]
    """Cost per iteration, class by class."""
    converged: tuple[bool, ...]

    __repr__ = short_repr

    @property
    def uniform(self) -> Tensor:
        """Which classes `(C,)` have atoms of equal weight; `learned` ends so where it finds nothing that costs less."""
        return (self.weights == self.weights[:, :1]).all(dim=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trajectories:
    """The parameters of X networks, the experts, at the start of their training and after each of its E epochs."""

    spec: ModelSpec
    """Of all of them."""
    parameters: Tensor
    """float32 `(X, E + 1, P)`: all P parameters side by side, in the network's order. May be memory-mapped."""
    whitening: Tensor | None = None
    """ZCA of the images that they were trained on, as in `DistilledSet`."""

    __repr__ = short_repr
