"""Views of distilled images and the teacher's labels of them; shapes as in `wmdd.values`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

from torch import Tensor

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
    """float16 `(M, C)`, or `(M, k)` beside `classes` and `rest`; None if the teacher labels them during training."""
    classes: Tensor | None = None
    """int32 `(M, k)`: which classes `logits` belong to, when only the k largest are kept."""
    rest: Tensor | None = None
    """float16 `(M,)`: mean logit of all the other classes."""

    __repr__ = short_repr

    def rows(self, start: int, stop: int) -> "EpochLabels":
        """Return the labels of rows `start` to `stop`."""
        return EpochLabels.of({name: value[start:stop] for name, value in self.tensors().items()})

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


def epoch_name(number: int) -> str:
    """Return the name under which the labels of an epoch are saved, and kept for good."""
    return f"epoch-{number:05d}"


class LazyEpochs(Sequence[EpochLabels]):
    """Epochs that are read one at a time, on demand, and not kept."""

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
class DrawnViews:
    """How stored views were drawn; as in `wmdd.settings.ViewSettings`."""

    crop_min: float
    flip: bool
    cutmix: float


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

    __repr__ = short_repr
