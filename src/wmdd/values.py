"""The records that stages hand to each other, and the shape legend used throughout.

Shapes: `N` real images · `C` classes · `K` atoms or images per class (IPC) · `M = C·K` distilled images · `D` features
· `L` BatchNorm layers · `F` channels of all BatchNorm layers side by side · `E` epochs · `B` batch · `ch` image
channels · `S` side of the canvas that images are stored at · `R` side of the image that a network sees.

Records are frozen: a stage reads some and returns a new one. They know nothing of networks, disks or settings.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, overload

import torch
from torch import Tensor


class Images(Protocol):
    """Pixels by position, wherever they are kept.

    `fetch` returns uint8 `(B, ch, S, S)`; `in_memory` says whether it costs a copy only or reading and decoding.
    """

    @property
    def in_memory(self) -> bool:
        """True if every image is already decoded."""
        ...

    def __len__(self) -> int: ...

    def fetch(self, indices: Sequence[int]) -> Tensor:
        """Return the images at `indices` as uint8 `(B, ch, S, S)`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSet:
    """Labelled images of one split, all on a square canvas of side `canvas` (S)."""

    name: str
    split: str
    """`"train"` or `"val"`."""
    classes: tuple[str, ...]
    """Class names; the position of a name is its label."""
    labels: Tensor
    """int64 `(N,)`."""
    images: Images
    channels: int
    canvas: int
    """S: side at which images are stored; at least `image_size`."""
    image_size: int
    """R: side that networks see; evaluation takes the central R x R of the canvas."""
    fingerprint: str
    """Hash of file names, sizes, labels, class order and canvas: two sets with one fingerprint are the same set."""
    broken: tuple[str, ...] = ()
    """Names of images that could not be read and were left out."""

    def __len__(self) -> int:
        return int(self.labels.shape[0])

    def of_class(self, label: int) -> Tensor:
        """Return the positions of class `label`, int64 `(n_k,)`, in stored order."""
        return torch.nonzero(self.labels == label).flatten()


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassStatistics:
    """What the teacher sees of each class of the real data."""

    features: Tensor
    """float32 `(N, D)`: penultimate features, sorted by class, stored order within a class. May be memory-mapped."""
    counts: tuple[int, ...]
    """Images of each class; class k owns rows `sum(counts[:k])` to `sum(counts[:k+1])`."""
    layers: tuple[str, ...]
    """Names of the L BatchNorm layers in the order in which their inputs stand in `means`."""
    widths: tuple[int, ...]
    """Channels of each layer; they add up to F."""
    means: Tensor
    """float64 `(C, F)`: mean of every BatchNorm layer's input over a class's images and positions."""
    variances: Tensor
    """float64 `(C, F)`: biased variance of the same."""

    def of_class(self, label: int) -> Tensor:
        """Return the features of class `label`, `(n_k, D)`."""
        start = sum(self.counts[:label])
        return self.features[start : start + self.counts[label]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Barycenters:
    """Per class, K atoms and their weights."""

    atoms: Tensor
    """float32 `(C, K, D)`."""
    weights: Tensor
    """float64 `(C, K)`; each row lies in the simplex."""
    costs: Tensor
    """float64 `(C,)`: W2² between the barycenter and the class's features."""
    floors: Tensor
    """float64 `(C,)`: lowest cost known, from k-means run to convergence from the same start or from the barycenter."""
    traces: tuple[tuple[float, ...], ...]
    """Cost per iteration, class by class."""
    converged: tuple[bool, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """One augmented look at each of B images: crop, flip, and a CutMix patch taken from a partner's own look.

    Boxes are `(top, left, height, width)`. Because a row carries its partner's crop too, it can be replayed alone, in
    any batch. Rows without a patch have `patch` of zero size.
    """

    index: Tensor
    """int64 `(B,)`: position of the image in its set."""
    crop: Tensor
    """int16 `(B, 4)`, in canvas pixels."""
    flip: Tensor
    """bool `(B,)`."""
    partner: Tensor
    """int64 `(B,)`: position of the image that the patch is cut from."""
    partner_crop: Tensor
    """int16 `(B, 4)`."""
    partner_flip: Tensor
    """bool `(B,)`."""
    patch: Tensor
    """int16 `(B, 4)`: region of the output, in output pixels, that shows the partner."""

    def __len__(self) -> int:
        return int(self.index.shape[0])

    def rows(self, start: int, stop: int) -> "Views":
        """Return the views of rows `start` to `stop`."""
        return Views(**{name: getattr(self, name)[start:stop] for name in self.__slots__})


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochLabels:
    """The views of one epoch, in training order, and what the teacher says of them."""

    views: Views
    """M rows."""
    logits: Tensor | None
    """float16 `(M, C)`, or `(M, k)` beside `classes` and `rest`; None when the teacher is asked while training."""
    classes: Tensor | None = None
    """int32 `(M, k)`: which classes `logits` belong to, when only the k largest are kept."""
    rest: Tensor | None = None
    """float16 `(M,)`: mean logit of all the other classes."""

    def tensors(self) -> dict[str, Tensor]:
        """Return everything as named tensors; what is absent is left out."""
        named = {f"views.{name}": getattr(self.views, name) for name in Views.__slots__}
        optional = {"logits": self.logits, "classes": self.classes, "rest": self.rest}
        return named | {name: value for name, value in optional.items() if value is not None}

    @staticmethod
    def of(tensors: Mapping[str, Tensor]) -> "EpochLabels":
        """Return the labels that `tensors()` named."""
        views = Views(**{name: tensors[f"views.{name}"] for name in Views.__slots__})
        optional = {name: tensors.get(name) for name in ("logits", "classes", "rest")}
        return EpochLabels(views=views, **optional)


class LazyEpochs(Sequence[EpochLabels]):
    """Epochs that are read one at a time, when asked for, and not kept."""

    def __init__(self, count: int, read: Callable[[int], EpochLabels]) -> None:
        self._count = count
        self._read = read

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> EpochLabels: ...
    @overload
    def __getitem__(self, index: slice) -> list[EpochLabels]: ...
    def __getitem__(self, index: int | slice) -> EpochLabels | list[EpochLabels]:
        if isinstance(index, slice):
            return [self._read(epoch) for epoch in range(*index.indices(self._count))]
        if not -self._count <= index < self._count:
            raise IndexError(f"epoch out of range; got {index} of {self._count}")
        return self._read(index % self._count)


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftLabels:
    """Teacher answers for every view of every epoch (FKD)."""

    store: str
    """`"full"`, `"topk"` or `"online"`."""
    batch: int
    temperature: float
    num_classes: int
    epochs: Sequence[EpochLabels]
    """E entries; may be read from disk one at a time."""
    plain: Tensor
    """float32 `(M, C)`: the teacher's logits of the images as they are, in the set's order."""
    num_bytes: int
    """Bytes that the labels and views take on disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DistilledSet:
    """The product: K images per class with weights, class by class."""

    method: str
    images: Tensor
    """uint8 `(M, ch, R, R)`, class-major."""
    labels: Tensor
    """int64 `(M,)`."""
    weights: Tensor
    """float32 `(M,)`; they sum to 1 in each class."""
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def ipc(self) -> int:
        """Images per class."""
        return len(self.labels) // len(self.classes)

    @property
    def image_size(self) -> int:
        """Side R of the images."""
        return int(self.images.shape[-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """How near a distilled set lies to the real features of its classes, as the teacher sees both; float64 `(C,)` each.

    W2² (costs) beside that of k-means (floors) and of random picks (mean and sample deviation over draws); W1; gaps
    |E_real g − E_set g| and bounds Lip(g) · W1 of g, the last layer or its cross-entropy: None if it is not affine.
    """

    set: str
    costs: Tensor
    floors: Tensor
    random_costs: Tensor
    random_stds: Tensor
    distances: Tensor
    head_gaps: Tensor | None = None
    head_bounds: Tensor | None = None
    loss_gaps: Tensor | None = None
    loss_bounds: Tensor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Accuracy of one student, in per cent."""

    set: str
    """Method that made the images the student was trained on."""
    ipc: int
    student: str
    protocol: str
    labels: str
    """`"soft"` or `"hard"`."""
    seed: int
    top1: float
    """After the last epoch."""
    top5: float
    """After the last epoch; 100 where there are five classes or fewer."""
    top1_best: float
    """Highest over the tests made during training; reported beside `top1`, never instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Scores of fresh students."""

    scores: tuple[Score, ...] = field(default_factory=tuple)
