"""The images of a distilled set on disk with their labels and weights: whatever is handed out has been checked.

Free of torch: `reading` makes tensors of them, the report draws them.
"""

import warnings
from collections.abc import Collection, Iterator
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
from wmdd.product.columns import number_lists, numbers, require_rows
from wmdd.product.manifest import MANIFEST, Manifest, Product
from wmdd.product.png import Pixels, decode_png

_BATCH = 256
_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRows:
    """What the table of images says of each of the M images."""

    labels: NDArray[np.int64]
    """`(M,)`: K of each class, class by class."""
    weights: NDArray[np.float32]
    """`(M,)`: they sum to 1 in each class."""
    plain: NDArray[np.float32] | None
    """`(M, C)`: the teacher's logits; None if no teacher was asked."""


def read_rows(product: Product) -> ImageRows:
    """Return labels, weights and logits of the images of a set.

    Raises:
        ArtifactError: a file is not what was written, or its content is not that of a distilled set: the line names
            file, column and row.
    """
    parts: list[ImageRows] = []
    for file, start in _starts(product):
        with reading(file.full_path):
            parts.append(_rows_of(file, start, product.manifest))
    kinds = {part.plain is None for part in parts}
    with reading(product.folder / MANIFEST):
        if len(kinds) > 1:
            raise Flaw("files of images with and without soft labels")
    whole = ImageRows(
        labels=np.concatenate([part.labels for part in parts]),
        weights=np.concatenate([part.weights for part in parts]),
        plain=None if True in kinds else np.concatenate([part.plain for part in parts if part.plain is not None]),
    )
    with reading(product.images[0].full_path):
        check_sums(whole.weights, product.manifest.ipc)
    return whole


def read_pictures(product: Product, wanted: Collection[int] | None = None) -> Iterator[tuple[int, Pixels]]:
    """Yield the position and the pixels `(ch, R, R)` of the wanted images, or of all, a few in memory at a time.

    Raises:
        ArtifactError: as for `read_rows`; a picture must be a PNG of the set's size.
    """
    decode = partial(_decoded, shape=product.manifest.shape)
    for file, first in _starts(product):
        with reading(file.full_path), pq.ParquetFile(file.full_path) as parquet, ThreadPoolExecutor() as pool:
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


def _rows_of(file: CheckedFile, start: int, manifest: Manifest) -> ImageRows:
    with pq.ParquetFile(file.full_path) as parquet:
        names = [name for name in ("label", "weight", "soft_label") if name in parquet.schema_arrow.names]
        table = parquet.read(columns=names)
    labels, weights = numbers(table, "label", pa.int64()), numbers(table, "weight", pa.float32())
    check_rows(labels, weights, manifest.ipc, start)
    plain = None
    if manifest.store is not None:
        plain = number_lists(table, "soft_label", pa.float32(), len(manifest.classes))
        require_rows(np.isfinite(plain), "soft_label", plain, "finite")
    return ImageRows(labels=labels, weights=weights, plain=plain)


def check_rows(labels: NDArray[np.int64], weights: NDArray[np.float32], ipc: int, start: int = 0) -> None:
    """Refuse labels and weights `(n,)` of the images from `start` on, if they are not those of a set; raises `Flaw`."""
    wanted = np.arange(start, start + len(labels)) // ipc
    require_rows(labels == wanted, "label", labels, f"the next class: {ipc} images of each, in order")
    require_rows((weights >= 0) & (weights <= 1 + _SUM_TOLERANCE), "weight", weights, "a share from 0 to 1")


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
