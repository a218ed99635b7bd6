"""The pictures of a report, chosen from a product whose files and values have been checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from wmdd.product.image_rows import ImageRows, read_pictures, read_rows
from wmdd.product.manifest import MANIFEST, open_product
from wmdd.product.png import picture
from wmdd.report.figures import LARGEST, LOSSLESS, sprite

CLASSES = 20
"""Number of classes shown, spread evenly over all of them."""
PER_CLASS = 10
"""Pictures shown of each class, those with the largest weights."""


class ClassImages(NamedTuple):
    """The pictures of one class."""

    name: str
    weights: tuple[float, ...]
    """Of the pictures shown; over all pictures of the class weights sum to 1."""
    sprite: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """The pictures that the page shows, and the counts and size of the set that they were chosen from."""

    images: tuple[ClassImages, ...] = ()
    classes: int = 0
    per_class: int = 0
    side: int = 0

    @property
    def cell(self) -> int:
        """Width of a picture on the page: a multiple of a small picture's side, so that pixels stay square."""
        return self.side * max(1, 72 // self.side) if 0 < self.side <= LOSSLESS else 92

    @property
    def reduced(self) -> bool:
        """Whether pictures are shown smaller than they are."""
        return self.side > LARGEST


def read_gallery(distilled: Path, classes: Sequence[str] | None) -> Gallery:
    """Return the pictures of a product, none while it is unfinished; its manifest names the classes unless given.

    Raises:
        ArtifactError: any of its files is damaged.
    """
    if not (distilled / MANIFEST).is_file():  # written last: without it the folder is not finished
        return Gallery()
    product = open_product(distilled)
    for file in product.files:
        file.check()
    manifest, rows = product.manifest, read_rows(product)
    chosen = _chosen(rows, len(manifest.classes), manifest.ipc)
    wanted = {at for positions in chosen.values() for at in positions}
    pictures = {at: picture(pixels) for at, pixels in read_pictures(product, wanted)}
    names = classes or manifest.classes
    return Gallery(
        images=tuple(
            ClassImages(
                name=str(names[label]) if label < len(names) else f"class {label}",
                weights=tuple(float(rows.weights[at]) for at in positions),
                sprite=sprite([pictures[at] for at in positions]),
            )
            for label, positions in chosen.items()
        ),
        classes=len(manifest.classes),
        per_class=manifest.ipc,
        side=manifest.image_size,
    )


def _chosen(rows: ImageRows, classes: int, ipc: int) -> dict[int, list[int]]:
    """Return by class the positions of the pictures to show, so that only these are read."""
    shown = [i * classes // CLASSES for i in range(CLASSES)] if classes > CLASSES else range(classes)
    order = np.argsort(-rows.weights.reshape(classes, ipc), axis=1, kind="stable")[:, :PER_CLASS]
    return {label: [label * ipc + int(at) for at in order[label]] for label in shown}
