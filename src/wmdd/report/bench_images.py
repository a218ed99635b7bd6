"""The images of a bench's rows side by side: one set of each row, the same classes; on the page, and as one picture."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from wmdd.product.image_rows import read_pictures, read_rows
from wmdd.product.manifest import MANIFEST, open_product
from wmdd.product.png import picture
from wmdd.report.bench import Bench
from wmdd.report.figures import LARGEST, LOSSLESS, sprite
from wmdd.report.tables import set_title

COLUMNS = 10
"""Classes shown, spread evenly over all of them."""
_MARGIN = 8
_INK, _PAPER = (40, 40, 40), (255, 255, 255)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowImages:
    """Of one set of a row, the picture with the largest weight in each of the classes shown."""

    name: str
    ipc: int
    seed: int
    classes: tuple[str, ...]
    pictures: tuple[Image.Image, ...]

    @property
    def title(self) -> str:
        """The row's name as papers write it."""
        return set_title(self.name)

    @property
    def sprite(self) -> str:
        """The pictures side by side as a data address."""
        return sprite(self.pictures)

    @property
    def side(self) -> int:
        """Width of a picture in pixels."""
        return self.pictures[0].width

    @property
    def cell(self) -> int:
        """Width of a picture on the page: a multiple of a small picture's side, so that pixels stay square."""
        return self.side * max(1, 64 // self.side) if self.side <= LOSSLESS else 76


def read_images(folder: Path, bench: Bench) -> list[RowImages]:
    """Return the images of every row that has a finished set in the folder of its bench.

    It is the set with the lowest seed at the largest number of images per class.

    Raises:
        ArtifactError: a file of images is damaged.
    """
    shown = [(cell, folder / cell["folder"] / "distilled") for cell in _cells(bench)]
    return [_read_set(cell, distilled) for cell, distilled in shown if (distilled / MANIFEST).is_file()]


def _cells(bench: Bench) -> Iterator[dict[str, Any]]:
    """Yield a finished cell of each row that has one."""
    for row in bench.rows:
        cells = [cell for cell in bench.results["cells"] if cell["row"] == row and cell["state"] == "finished"]
        if cells:
            yield min(cells, key=lambda cell: (-cell["ipc"], cell["seed"]))


def _read_set(cell: dict[str, Any], distilled: Path) -> RowImages:
    product = open_product(distilled)
    classes, ipc = product.manifest.classes, product.manifest.ipc
    count = min(COLUMNS, len(classes))
    labels = [at * len(classes) // count for at in range(count)]
    heaviest = np.argmax(read_rows(product).weights.reshape(len(classes), ipc), axis=1)
    positions = [label * ipc + int(heaviest[label]) for label in labels]
    found = {at: picture(pixels) for at, pixels in read_pictures(product, set(positions))}
    return RowImages(
        name=cell["row"],
        ipc=ipc,
        seed=cell["seed"],
        classes=tuple(classes[label] for label in labels),
        pictures=tuple(found[at] for at in positions),
    )


def draw_images(rows: Sequence[RowImages]) -> bytes:
    """Return the rows one below the other as a PNG, each with its name at the left; equal rows give equal bytes."""
    font = ImageFont.load_default(size=14)
    side = max(48, min(LARGEST, max(row.side for row in rows)))
    names = max(int(font.getlength(row.title)) for row in rows) + 2 * _MARGIN
    width = names + max(len(row.pictures) for row in rows) * (side + 2)
    sheet = Image.new("RGB", (width, len(rows) * (side + 2)), _PAPER)
    write = ImageDraw.Draw(sheet)
    for line, row in enumerate(rows):
        top = line * (side + 2)
        write.text((_MARGIN, top + side // 2), row.title, fill=_INK, font=font, anchor="lm")
        for column, shown in enumerate(row.pictures):
            how = Image.Resampling.NEAREST if row.side <= LOSSLESS else Image.Resampling.BICUBIC
            sheet.paste(shown.convert("RGB").resize((side, side), how), (names + column * (side + 2), top))
    buffer = io.BytesIO()
    sheet.save(buffer, "png", optimize=True)
    return buffer.getvalue()
