"""Soft labels of one epoch: as logits of all classes for training, and as a Parquet table for storage.

The table has one row per view, in training order (config `fkd` of a distilled set):

| column | type | meaning |
|---|---|---|
| epoch | int32 | number of the epoch |
| index | int32 | which image |
| crop | int16[4] | top, left, height, width in pixels of the image |
| flip | bool | mirrored after the crop |
| partner, partner_crop, partner_flip | | the same for the partner of CutMix |
| patch | int16[4] | the CutMix box: where the view shows its partner; zero size = nowhere |
| logits | float16[] | the teacher's logits of all classes |

Sets written before version 4 of the stage have such tables for other labels too: without `logits` where the teacher
answers during training; with the largest `logits`, their `classes` (int32[]) and `rest` (float16), the mean logit of
all others. They are still read.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from wmdd.errors import ArtifactError
from wmdd.product.columns import number_lists, numbers
from wmdd.values import EpochLabels, Views
from wmdd.values.quantising import dequantise

_Read = Callable[[pa.Table, str], NDArray[Any]]
_BOX: _Read = partial(number_lists, kind=pa.int16(), width=4)
_IMAGE: _Read = partial(numbers, kind=pa.int32())
_FLIP: _Read = partial(numbers, kind=pa.bool_())
_VIEWS: dict[str, _Read] = {
    "index": _IMAGE,
    "crop": _BOX,
    "flip": _FLIP,
    "partner": _IMAGE,
    "partner_crop": _BOX,
    "partner_flip": _FLIP,
    "patch": _BOX,
}
_ANSWERS: dict[str, _Read] = {
    "logits": partial(number_lists, kind=pa.float16()),
    "classes": partial(number_lists, kind=pa.int32()),
    "rest": partial(numbers, kind=pa.float16()),
}


def soft_targets(epoch: EpochLabels, num_classes: int) -> Tensor:
    """Return the teacher's logits of every class for every view of an epoch, float32 `(M, C)`.

    If only the k largest logits were kept, all other classes get their common mean: the probabilities of the kept
    classes are then right except for the spread among the others.

    Raises:
        ArtifactError: no logits were kept.
    """
    if epoch.logits is None:
        raise ArtifactError("these soft labels hold views only; got store 'online'; ask the teacher for the logits")
    if epoch.scale is None or epoch.offset is None:
        logits = epoch.logits.float()
    else:
        logits = dequantise(epoch.logits, epoch.scale, epoch.offset)
    if epoch.classes is None or epoch.rest is None:
        return logits
    rest = epoch.rest.float()[:, None].expand(-1, num_classes)
    return rest.scatter(1, epoch.classes.long(), logits)


def epoch_table(number: int, epoch: EpochLabels) -> pa.Table:
    """Return the labels of epoch `number` as the table described above."""
    views = epoch.views
    columns: dict[str, Any] = {
        "epoch": pa.array(np.full(len(views), number, np.int32)),
        "index": pa.array(views.index.to(torch.int32).numpy()),
        "crop": list_column(views.crop),
        "flip": pa.array(views.flip.numpy()),
        "partner": pa.array(views.partner.to(torch.int32).numpy()),
        "partner_crop": list_column(views.partner_crop),
        "partner_flip": pa.array(views.partner_flip.numpy()),
        "patch": list_column(views.patch),
    }
    if epoch.logits is not None:
        columns["logits"] = list_column(epoch.logits.half())
    return pa.table(columns)


def epoch_from_table(table: pa.Table) -> EpochLabels:
    """Return the labels in a table made by `epoch_table`.

    Raises:
        Flaw: a column is missing or not of the type described above; what its rows say is not checked.
    """
    columns = {f"views.{name}": _VIEWS[name](table, name) for name in Views.__slots__}
    columns |= {name: read(table, name) for name, read in _ANSWERS.items() if name in table.column_names}
    tensors = {name: torch.from_numpy(column) for name, column in columns.items()}
    return EpochLabels.of({**tensors, **{name: tensors[name].long() for name in ("views.index", "views.partner")}})


def list_column(rows: Tensor) -> pa.Array:
    """Return a matrix `(n, width)` as a column of n lists of fixed length."""
    flat = pa.array(rows.contiguous().cpu().numpy().reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, rows.shape[1])
