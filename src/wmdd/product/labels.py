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
| logits | float16[] | the teacher's logits: all classes or the largest; absent if computed during training |
| classes | int32[] | the classes of `logits`; only if the largest are kept |
| rest | float16 | mean logit of all other classes; only if the largest are kept |
"""

from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from wmdd.errors import ArtifactError
from wmdd.values import EpochLabels, Views


def soft_targets(epoch: EpochLabels, num_classes: int) -> Tensor:
    """Return the teacher's logits of every class for every view of an epoch, float32 `(M, C)`.

    If only the k largest logits were kept, all other classes get their common mean: the probabilities of the kept
    classes are then right except for the spread among the others.

    Raises:
        ArtifactError: no logits were kept.
    """
    if epoch.logits is None:
        raise ArtifactError("these soft labels hold views only; got store 'online'; ask the teacher for the logits")
    logits = epoch.logits.float()
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
    if epoch.classes is not None and epoch.rest is not None:
        columns["classes"] = list_column(epoch.classes.to(torch.int32))
        columns["rest"] = pa.array(epoch.rest.half().numpy())
    return pa.table(columns)


def epoch_from_table(table: pa.Table) -> EpochLabels:
    """Return the labels in a table made by `epoch_table`."""
    columns = {name: column_tensor(table, name) for name in table.column_names}
    columns |= {name: columns[name].long() for name in ("index", "partner")}
    return EpochLabels.of({**columns, **{f"views.{name}": columns[name] for name in Views.__slots__}})


def column_tensor(table: pa.Table, name: str) -> Tensor:
    """Return a column of numbers as a tensor `(n,)`, a column of lists of fixed length as `(n, width)`."""
    column = table.column(name)
    whole = pa.concat_arrays(column.chunks)
    if not pa.types.is_fixed_size_list(column.type):
        return torch.from_numpy(np.array(whole.to_numpy(zero_copy_only=False)))
    flat = np.array(whole.flatten().to_numpy(zero_copy_only=False))
    return torch.from_numpy(flat.reshape(len(whole), column.type.list_size))


def list_column(rows: Tensor) -> pa.Array:
    """Return a matrix `(n, width)` as a column of n lists of fixed length."""
    flat = pa.array(rows.contiguous().cpu().numpy().reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, rows.shape[1])
