"""Views of distilled images and the teacher's labels of them; shapes as in `wmdd.values`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from torch import Tensor

from wmdd.drawn import DrawnViews
from wmdd.values.showing import short_repr


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """One augmented view of each of B images: crop, flip, and a CutMix box that shows a partner's own view.

    Boxes are `(top, left, height, width)`. Because a row carries its partner's crop too, it can be replayed alone, in
    any batch. Rows without CutMix have a `patch` of zero size.
    """

    index: Tensor
    """int64 `(B,)`: position of the image in its set."""
    crop: Tensor
    """int16 `(B, 4)`, in canvas pixels."""
    flip: Tensor
    """bool `(B,)`."""
    partner: Tensor
    """int64 `(B,)`: position of the image that the CutMix box shows."""
    partner_crop: Tensor
    """int16 `(B, 4)`."""
    partner_flip: Tensor
    """bool `(B,)`."""
    patch: Tensor
    """int16 `(B, 4)`: the CutMix box, the region of the output, in output pixels, that shows the partner."""

    __repr__ = short_repr

    def __len__(self) -> int:
        return int(self.index.shape[0])

    def rows(self, start: int, stop: int) -> "Views":
        """Return the views of rows `start` to `stop`."""
        return Views(**{name: getattr(self, name)[start:stop] for name in self.__slots__})


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochLabels:
    """The views of one epoch, in training order, and the teacher's logits of them."""

    views: Views
    """M rows."""
    logits: Tensor | None
    """float16 `(M, C)`, or `(M, k)` beside `classes` and `rest`; uint8 beside `scale` and `offset`, see `quantise`.
    None if the teacher labels them during training."""
    classes: Tensor | None = None
    """int16 or int32 `(M, k)`: which classes `logits` belong to, when only the k largest are kept."""
    rest: Tensor | None = None
    """float16 `(M,)`: mean logit of all the other classes."""
    scale: Tensor | None = None
    """float16 `(M,)`: the step of 8-bit logits."""
    offset: Tensor | None = None
    """float16 `(M,)`: the logit whose 8-bit code is 0."""

    __repr__ = short_repr

    def rows(self, start: int, stop: int) -> "EpochLabels":
        """Return the labels of rows `start` to `stop`."""
        return EpochLabels.of({name: value[start:stop] for name, value in self.tensors().items()})

    def tensors(self) -> dict[str, Tensor]:
        """Return everything as named tensors; what is absent is left out."""
        return {f"views.{name}": getattr(self.views, name) for name in Views.__slots__} | self.answers()

    def answers(self) -> dict[str, Tensor]:
        """Return everything but the views as named tensors; what is absent is left out."""
        named = {name: getattr(self, name) for name in ANSWERS}
        return {name: value for name, value in named.items() if value is not None}

    @staticmethod
    def of(tensors: Mapping[str, Tensor], views: Views | None = None) -> "EpochLabels":
        """Return the labels that `tensors()` named, or `answers()` for these `views`."""
        if views is None:
            views = Views(**{name: tensors[f"views.{name}"] for name in Views.__slots__})
        return EpochLabels(views=views, **{"logits": None, **{n: tensors[n] for n in ANSWERS if n in tensors}})


ANSWERS = ("logits", "classes", "rest", "scale", "offset")
"""Names of the tensors of `EpochLabels` that are the teacher's answers."""


def epoch_name(number: int) -> str:
    """Return the name under which the labels of an epoch are saved, and kept for good."""
    return f"epoch-{number:05d}"


class LazyEpochs(Sequence[EpochLabels]):
    """Epochs that are read one at a time, on demand, and not kept."""

    def __init__(
        self, count: int, read: Callable[[int], EpochLabels], *, file: Callable[[int], Path] | None = None
    ) -> None:
        self._count = count
        self._read = read
        self.file = file
        """Number of an epoch → the file that it is read from; None if they have none of their own."""

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
    """The teacher's labels of every view of every epoch (FKD)."""

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
    drawn: DrawnViews | None = None
    """How the views were drawn; None = not known."""
    redrawn: bool = False
    """Whether no view is stored: `epochs` draws them again by `drawn`."""
    pooled: bool = False
    """Whether students have more epochs than these, and then draw batches of all again (`wmdd.data.replay`)."""

    __repr__ = short_repr

    @property
    def has_files(self) -> bool:
        """Whether anything of an epoch is stored."""
        return not (self.redrawn and self.store == "online")
