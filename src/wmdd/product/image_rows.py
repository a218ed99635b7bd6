"""The images of a distilled set on disk with their labels and weights: whatever is handed out has been checked.

Free of torch: `reading` makes tensors of them, the report draws them.
"""

import warnings
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import accumulate

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from wmdd.data.sources.decoding import UNREADABLE
from wmdd.product.checked import CheckedFile, Flaw, damaged, reading
from wmdd.product.columns import number_lists, numbers, opened_table, require_rows
from wmdd.product.manifest import MANIFEST, Manifest, Product
from wmdd.product.png import Pixels, decode_png

_BATCH = 256
_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRows:
    """What the table of images says of each of the M images, but for logits."""

    labels: NDArray[np.int64]
    """`(M,)`: K of each class, class by class."""
    weights: NDArray[np.float32]
    """`(M,)`: they sum to 1 in each class."""


Keep = Callable[[int, NDArray[np.float32]], object]
"""Takes up the teacher's logits `(n, C)` of images from this position on."""


def read_rows(product: Product, keep: Keep | None = None) -> ImageRows:
    """Return labels and weights of the images of a set; their logits, if it has some, are given to `keep` in parts.

    Raises:
        ArtifactError: a file is not what was written, or its content is not that of a distilled set: the line names
            file, column and row.
    """
    labels, weights = np.empty(product.manifest.count, np.int64), np.empty(product.manifest.count, np.float32)
    for file, first in _starts(product):
        with reading(file.full_path), opened_table(file.full_path) as parquet:
            names = [name for name in ("label", "weight", "soft_label") if name in parquet.schema_arrow.names]
            _checked_rows(parquet.schema_arrow.empty_table(), first, first, product.manifest)  # has all columns
            start = first
            for batch in parquet.iter_batches(batch_size=_BATCH, columns=names):
                rows = slice(start, start + batch.num_rows)
                table = pa.Table.from_batches([batch])
                labels[rows], weights[rows] = _checked_rows(table, start, first, product.manifest)
                if product.manifest.store is not None:
                    logits = _checked_logits(table, start - first, product.manifest)
                    if keep is not None:
                        keep(start, logits)
                start += batch.num_rows
    with reading(product.images[0].full_path):
        check_sums(weights, product.manifest.ipc)
    return ImageRows(labels=labels, weights=weights)


def read_pictures(product: Product, wanted: Collection[int] | None = None) -> Iterator[tuple[int, Pixels]]:
    """Yield the position and the pixels `(ch, R, R)` of the wanted images, or of all, a few in memory at a time.

    Raises:
        ArtifactError: as for `read_rows`; a picture must be a PNG of the set's size.
    """
    decode = partial(_decoded, shape=product.manifest.shape)
    for file, first in _starts(product):
        with reading(file.full_path), opened_table(file.full_path) as parquet, ThreadPoolExecutor() as pool:
            start = first
            for batch in parquet.iter_batches(batch_size=_BATCH, columns=["image"]):
                here = [at for at in range(batch.num_rows) if wanted is None or start + at in wanted]
                pngs = _bytes_of(batch, here)
                with warnings.catch_warnings(action="ignore"):  # Pillow's, of odd chunks beside the pixels
                    decoded = list(pool.map(decode, [start - first + at for at in here], pngs))
                yield from zip([start + at for at in here], decoded, strict=True)
                start += batch.num_rows


def _starts(product: Product) -> Iterator[tuple[CheckedFile, int]]:
    """Yield the files of images, each with the position of its first; together they must hold all."""
    counts: list[int] = []
    for file in product.images:
        file.check()
        with reading(file.full_path):
            counts.append(pq.read_metadata(file.full_path).num_rows)
    if sum(counts) != product.manifest.count:
        raise damaged(product.folder / MANIFEST, f"tables of {sum(counts)} images, not {product.manifest.count}")
    yield from zip(product.images, accumulate(counts, initial=0), strict=False)  # the last sum is the end


def _checked_rows(
    table: pa.Table, start: int, first: int, manifest: Manifest
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return labels and weights of the images from `start` on, in a file whose first image is `first`."""
    labels, weights = numbers(table, "label", pa.int64()), numbers(table, "weight", pa.float32())
    check_rows(labels, weights, manifest.ipc, start, first)
    return labels, weights


def _checked_logits(table: pa.Table, row: int, manifest: Manifest) -> NDArray[np.float32]:
    """Return the logits in a part of a file that begins with its row `row`."""
    logits = number_lists(table, "soft_label", pa.float32(), len(manifest.classes))
    require_rows(np.isfinite(logits), "soft_label", logits, "finite", row)
    return logits


def check_rows(
    labels: NDArray[np.int64], weights: NDArray[np.float32], ipc: int, start: int = 0, first: int = 0
) -> None:
    """Refuse labels and weights `(n,)` of the images from `start` on, if they are not those of a set.

    Raises:
        Flaw: a row, counted from image `first` on, is wrong.
    """
    wanted, row = np.arange(start, start + len(labels)) // ipc, start - first
    require_rows(labels == wanted, "label", labels, f"the next class: {ipc} images of each, in order", row)
    require_rows((weights >= 0) & (weights <= 1 + _SUM_TOLERANCE), "weight", weights, "a share from 0 to 1", row)


def check_sums(weights: NDArray[np.float32], ipc: int) -> None:
    """Refuse weights `(M,)` that do not sum to 1 in each class; raises `Flaw`."""
    sums = weights.reshape(-1, ipc).sum(axis=1, dtype=np.float64)
    wrong = np.abs(sums - 1) > _SUM_TOLERANCE
    if wrong.any():
        label = int(wrong.argmax())
        row = label * ipc
        raise Flaw(f"weights that sum to {sums[label]:.6g} in class {label}, from row {row} of column weight, not to 1")


def _bytes_of(batch: pa.RecordBatch, rows: list[int]) -> list[bytes]:
    """Return the encoded pictures in some rows of a batch."""
    kind = batch.schema.field("image").type if "image" in batch.schema.names else None
    if kind is None or not pa.types.is_struct(kind) or kind.get_field_index("bytes") < 0:
        raise Flaw(f"column image of type {kind}, not with bytes")
    if kind.field("bytes").type not in (pa.binary(), pa.large_binary()):
        raise Flaw(f"column image of type {kind}, not with bytes")
    column = batch.column("image").field("bytes") if not batch.column("image").null_count else None
    if column is None or column.null_count:
        raise Flaw("column image with empty rows")
    return [column[row].as_py() for row in rows]


def _decoded(row: int, png: bytes, shape: tuple[int, int, int]) -> Pixels:
    try:
        return decode_png(png, shape)
    except Flaw as flaw:
        raise Flaw(f"{flaw} in row {row} of column image") from None
    except UNREADABLE as error:
        raise Flaw(f"a picture that cannot be decoded in row {row} of column image") from error
