"""Soft labels of a distilled set on disk: epochs are read one at a time, and checked before they are handed out."""

from collections.abc import Iterator
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import Tensor

from wmdd.artifacts.tensors import map_tensors, scratch_tensor
from wmdd.data.drawing import draw_again, labels_of
from wmdd.data.views import concatenate
from wmdd.mapped import Gathered, row_blocks
from wmdd.product.checked import CheckedFile, Flaw, reading
from wmdd.product.columns import numbers, opened_table, require_rows
from wmdd.product.labels import epoch_from_table
from wmdd.product.manifest import SHARD, Manifest, Product
from wmdd.values import EpochLabels, LazyEpochs, Views

_ALL, _LARGEST, _BITS = {"logits"}, {"logits", "classes", "rest"}, {"scale", "offset"}
_ANSWERS = {"full": (_ALL,), "topk": (_LARGEST | _BITS, _ALL | _BITS, _LARGEST, _ALL), "online": (set[str](),)}
"""The teacher's answers by the way of storing them; of few classes `topk` keeps all logits; it once had 16 bits."""
_TYPES = {
    "logits": (torch.uint8, torch.float16),
    "classes": (torch.int16, torch.int32),
    **dict.fromkeys(("rest", "scale", "offset"), (torch.float16,)),
}


def stored_epochs(product: Product) -> LazyEpochs:
    """Return the epochs of a set; reading a damaged one raises `ArtifactError` with its file, column and row."""
    files, stops = product.epochs, list(accumulate(file.epochs for file in product.epochs))

    manifest = product.manifest

    def views(number: int) -> Views | None:
        if not manifest.redrawn or manifest.drawn is None or manifest.batch is None:
            return None
        return draw_again(manifest.drawn, number, count=manifest.count, batch=manifest.batch)

    def read(number: int) -> EpochLabels:
        file, stop = next((f, stop) for f, stop in zip(files, stops, strict=True) if number < stop)
        file.check()
        with reading(file.full_path):
            if file.full_path.suffix == SHARD:
                return _read_shard(file, views(number), manifest)
            return _read_epoch(file, number - (stop - file.epochs), number, manifest)

    def draw(number: int) -> EpochLabels:
        drawn = views(number)
        assert drawn is not None
        return EpochLabels(views=drawn, logits=None)

    return LazyEpochs(manifest.num_epochs, read if manifest.has_files else draw)


def check_epoch(epoch: EpochLabels, manifest: Manifest) -> None:
    """Refuse labels that do not fit their set, whatever file they come from.

    Raises:
        Flaw: an image is not in the set, or not once; a box is not in the image; a logit is not finite; or the logits
            are not those that `store` promises.
    """
    _check_views(epoch.views, manifest.count, manifest.image_size)
    _check_answers(epoch, manifest)


def _read_epoch(file: CheckedFile, at: int, number: int, manifest: Manifest) -> EpochLabels:
    """Return epoch `number`, the one `at` in its file: of a long one, several row groups, the answers lie in a file."""
    with opened_table(file.full_path) as parquet:
        groups = _row_groups(parquet, file.epochs, manifest.count)[at]
        parts = (_of_group(parquet, group, number) for group in groups)
        epoch = next(parts) if len(groups) == 1 else _put_together(parts, manifest.count)
    check_epoch(epoch, manifest)
    return epoch


def _row_groups(parquet: pq.ParquetFile, epochs: int, count: int) -> list[list[int]]:
    """Return the row groups of each epoch in a file: whole ones, which have `count` rows together."""
    found, rows = [list[int]()], 0
    for group in range(parquet.num_row_groups):
        if rows == count:
            found, rows = [*found, []], 0
        rows += parquet.metadata.row_group(group).num_rows
        found[-1].append(group)
        if rows > count:
            raise Flaw(f"{rows} rows in an epoch, not {count}")
    if len(found) != epochs or rows != count:
        raise Flaw(f"{parquet.num_row_groups} row groups of {parquet.metadata.num_rows} rows, not {epochs} x {count}")
    return found


def _of_group(parquet: pq.ParquetFile, group: int, number: int) -> EpochLabels:
    table = parquet.read_row_group(group)
    epochs = numbers(table, "epoch", pa.int32())
    require_rows(epochs == number, "epoch", epochs, f"the number of epoch {number}")
    return epoch_from_table(table)


def _put_together(parts: Iterator[EpochLabels], count: int) -> EpochLabels:
    """Return the epoch that parts make up, whose answers are in a temporary file, since they are the larger share."""
    room, views, start = Gathered(count=count, make=scratch_tensor), list[Views](), 0
    for part in parts:
        room.put(start, part.answers())
        views.append(part.views)
        start += len(part.views)
    return EpochLabels.of(room.tensors, concatenate(views))


def _read_shard(file: CheckedFile, views: Views | None, manifest: Manifest) -> EpochLabels:
    """Return the epoch of a file of tensors, which stay mapped until their rows are read."""
    tensors = map_tensors(file.full_path)
    try:
        epoch = labels_of(tensors, views)
    except KeyError as error:
        raise Flaw(f"no tensor {error}") from None
    if file.epochs != 1:
        raise Flaw(f"one epoch, not {file.epochs}")
    for name, values in epoch.tensors().items():
        if len(values) != manifest.count:
            raise Flaw(f"{len(values)} rows of {name}, not {manifest.count}")
    for name, values in epoch.answers().items():
        dimensions = 2 if name in ("logits", "classes") else 1
        if values.dtype not in _TYPES[name] or values.ndim != dimensions:
            raise Flaw(f"{name} of {values.dtype} {tuple(values.shape)}")
    check_epoch(epoch, manifest)
    return epoch


def _check_views(views: Views, count: int, side: int) -> None:
    index, partner = views.index.numpy(), views.partner.numpy()
    for name, column in (("index", index), ("partner", partner)):
        require_rows((column >= 0) & (column < count), name, column, f"one of {count} images")
    once = np.bincount(index, minlength=count)[index] == 1
    require_rows(once, "index", index, "an image that is there once")
    for name in ("crop", "partner_crop", "patch"):
        boxes = getattr(views, name).numpy()
        rule = f"a box (top, left, height, width) in {side} x {side} pixels"
        require_rows(_boxes_inside(boxes, side, empty=name == "patch"), name, boxes, rule)


def _boxes_inside(boxes: NDArray[Any], side: int, *, empty: bool) -> NDArray[np.bool_]:
    """Tell of each box `(n, 4)` whether it lies in the image, by axis: `(n, 2)`; only boxes of CutMix may be empty."""
    start, size = boxes[:, :2].astype(np.int64), boxes[:, 2:].astype(np.int64)
    return (start >= 0) & (size >= (0 if empty else 1)) & (start + size <= side)


def _check_answers(epoch: EpochLabels, manifest: Manifest) -> None:
    classes = len(manifest.classes)
    found = set(epoch.answers())
    if manifest.store is None or found not in _ANSWERS[manifest.store]:
        raise Flaw(f"columns {sorted(found)} of answers under store {manifest.store}")
    if epoch.logits is None:
        return
    if epoch.classes is None or epoch.rest is None:
        if epoch.logits.shape[1] != classes:
            raise Flaw(f"column logits of {epoch.logits.shape[1]} classes, not {classes}")
    else:
        _check_kept(epoch.classes, epoch.logits, classes)
        _require_finite(epoch.rest, "rest")
    _require_finite(epoch.logits, "logits")
    for name in sorted(found & _BITS):
        _require_finite(getattr(epoch, name), name)
    if (epoch.logits.dtype == torch.uint8) != (epoch.scale is not None):
        raise Flaw(f"column logits of {epoch.logits.dtype} under columns {sorted(found)}")


def _check_kept(kept: Tensor, logits: Tensor, classes: int) -> None:
    """Refuse classes of the largest logits that are unknown, or twice in a row."""
    if kept.shape != logits.shape:
        raise Flaw(f"column classes of {kept.shape[1]} entries for {logits.shape[1]} logits")
    for block in row_blocks(kept):
        rows = kept[block].numpy()
        require_rows((rows >= 0) & (rows < classes), "classes", rows, f"of {classes} classes", block.start)
        ordered = np.sort(rows, axis=1)
        different = ordered[:, 1:] != ordered[:, :-1]
        require_rows(different, "classes", rows, "a list of different classes", block.start)


def _require_finite(values: Tensor, column: str) -> None:
    for rows in row_blocks(values):
        part = values[rows]  # torch's half precision is much faster than NumPy's
        require_rows(part.isfinite().numpy(), column, part.numpy(), "finite", rows.start)
