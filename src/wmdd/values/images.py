"""Real images, wherever their pixels are kept; the shape legend is that of `wmdd.values`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from wmdd.values.showing import short_repr
from wmdd.warnings import RunWarning


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
    """`"train"`, `"val"`, or `"development"` for images that are tested on in place of `"val"`."""
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
    warnings: tuple[RunWarning, ...] = ()
    """What was seen when the images were opened; no part of the fingerprint."""
    held_out: float | None = None
    """Share of each class that was held out from the training images as test images; None = the data have their own."""
    development: float | None = None
    """Share of each class that was then cut from the training images to make this split; None = these are the test."""

    __repr__ = short_repr

    def __len__(self) -> int:
        return int(self.labels.shape[0])

    @property
    def kind(self) -> str:
        """What these images are for, before the word "images": `"training"`, `"validation"` or `"development"`."""
        return {"train": "training", "val": "validation"}.get(self.split, self.split)

    def of_class(self, label: int) -> Tensor:
        """Return the positions of class `label`, int64 `(n_k,)`, in stored order."""
        return torch.nonzero(self.labels == label).flatten()
