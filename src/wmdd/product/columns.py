"""Columns of Parquet tables as arrays, and the rules that their rows must keep. Free of torch.

Every function raises `Flaw` where a table is not what it should be; `checked.reading` adds the name of the file.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from wmdd.product.checked import Flaw

_SHOWN = 60


def opened_table(path: Path) -> pq.ParquetFile:
    """Open a Parquet file to be read a part at a time: by default Arrow reads all row groups ahead."""
    return pq.ParquetFile(path, pre_buffer=False)


def numbers(table: pa.Table, name: str, kind: pa.DataType) -> NDArray[Any]:
    """Return a column of numbers of type `kind` as an array `(n,)`."""
    column = _column(table, name)
    if column.type != kind:
        raise Flaw(f"column {name} of type {column.type}, not {kind}")
    return _array(column, name)


def number_lists(table: pa.Table, name: str, kind: pa.DataType, width: int | None = None) -> NDArray[Any]:
    """Return a column of lists of one length, `width` unless None, as an array `(n, width)`."""
    column = _column(table, name)
    found: pa.DataType = column.type
    if not pa.types.is_fixed_size_list(found) or found.value_type != kind or width not in (None, found.list_size):
        raise Flaw(f"column {name} of type {found}, not lists of {'one length' if width is None else width} of {kind}")
    if column.null_count:
        raise Flaw(f"column {name} with {column.null_count} empty rows")
    flat = pa.chunked_array([chunk.flatten() for chunk in column.chunks], found.value_type)
    return _array(flat, name).reshape(len(column), found.list_size)


def require_rows(good: NDArray[np.bool_], column: str, values: NDArray[Any], rule: str, first: int = 0) -> None:
    """Refuse a column of n rows if `good`, `(n,)` or `(n, width)`, is not true everywhere: the first bad row is named.

    `first` is the number of the first of these rows in its file.

    Raises:
        Flaw: a row breaks the `rule`, which the message quotes: "which is not ...".
    """
    rows = good.all(axis=tuple(range(1, good.ndim)))
    if not rows.all():
        row = int(rows.argmin())
        shown = str(values[row].tolist())
        raise Flaw(f"{shown[:_SHOWN]} in row {first + row} of column {column}, which is not {rule}")


def _column(table: pa.Table, name: str) -> pa.ChunkedArray:
    if table.column_names.count(name) != 1:
        raise Flaw(f"{table.column_names.count(name)} columns {name}, not one")
    return table.column(name)


def _array(column: pa.ChunkedArray, name: str) -> NDArray[Any]:
    if column.null_count:
        raise Flaw(f"column {name} with {column.null_count} empty values")
    # A copy, because Arrow's memory is read-only and torch wants to be able to write.
    return np.array(column.to_numpy())
