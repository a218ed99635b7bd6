"""Encoded images in Parquet files, read by row group as they are needed."""

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wmdd.data.sources.listing import Payload, Rows
from wmdd.data.sources.parquet_columns import is_text
from wmdd.data.sources.parquet_reading import open_parquet, reading, shown
from wmdd.errors import DataError

_KEPT_GROUPS = 4
_FOOTER = 65536


class _Column(NamedTuple):
    """The images of a row group: bytes, and for rows without any, the path of a file beside."""

    data: pa.ChunkedArray | None
    paths: pa.ChunkedArray | None


class ParquetStore:
    """Rows of Parquet files, read one row group at a time; the last few groups are kept in memory.

    A row with a path and no bytes is the file of that path: absolute, or below `root` and relative to the folder of its
    Parquet file or else to `root`.
    """

    def __init__(self, root: Path, files: Sequence[str], column: str) -> None:
        self._root, self._files, self._column = Path(os.path.abspath(root)), tuple(files), column
        self._groups: list[tuple[int, int]] = []
        """File and row group of every group."""
        lengths: list[int] = []
        may_lack: list[bool] = []
        for number, file in enumerate(files):
            with reading(file):
                metadata = pq.read_metadata(root / file)
                kind = metadata.schema.to_arrow_schema().field(column).type
                groups = [metadata.row_group(group) for group in range(metadata.num_row_groups)]
                lengths += [group.num_rows for group in groups]
                may_lack += [_may_lack_bytes(group, column, kind) for group in groups]
            self._groups += [(number, group) for group in range(len(groups))]
        self._starts = np.cumsum([0, *lengths])
        self._may_lack = np.array(may_lack, dtype=bool)
        """Groups in which a row may have a path and no bytes."""
        self._forget()

    def _forget(self) -> None:
        self._kept: OrderedDict[int, _Column] = OrderedDict()
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in {"_kept", "_lock"}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    def __len__(self) -> int:
        return int(self._starts[-1])

    def payloads(self, rows: Sequence[int] | Rows) -> Iterator[Payload]:
        """Yield the image of each row: its bytes, else the path of its file; sorted rows read every group once.

        Raises:
            DataError: a file is damaged or has changed.
        """
        current, column = -1, None
        for row, group in zip(rows, self._groups_of(rows), strict=True):
            if group != current or column is None:
                current, column = int(group), self._group(int(group))
            yield self._payload(column, current, int(row) - int(self._starts[group]))

    def _groups_of(self, rows: Sequence[int] | Rows) -> Rows:
        return np.searchsorted(self._starts, rows, "right") - 1

    def _payload(self, column: _Column, group: int, row: int) -> Payload:
        data = None if column.data is None else column.data[row].as_py()
        if data is not None or column.paths is None:
            return data
        file = self._files[self._groups[group][0]]
        with reading(file):
            path = column.paths[row].as_py()
        return None if path is None else self._beside(file, path)

    def _beside(self, file: str, path: str) -> str | None:
        """Return where the file of a path should be; None if the path leaves the folder of the data."""
        if os.path.isabs(path):
            return path
        folders = (self._root / file).parent, self._root
        places = [os.path.normpath(os.path.join(folder, path)) for folder in folders]
        inside = [place for place in places if place.startswith(os.path.join(self._root, ""))]
        return next((place for place in inside if os.path.isfile(place)), inside[0] if inside else None)

    def _group(self, group: int) -> _Column:
        with self._lock:
            if group not in self._kept:
                self._kept[group] = self._read(group)
                while len(self._kept) > _KEPT_GROUPS:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(group)
            return self._kept[group]

    def _read(self, group: int) -> _Column:
        file, number = self._groups[group]
        name = self._files[file]
        with reading(name):
            with open_parquet(self._root / name) as opened:
                column = opened.read_row_group(number, columns=[self._column], use_threads=False)[0]
            wanted = int(self._starts[group + 1] - self._starts[group])
            if len(column) != wanted:
                raise DataError(
                    f"{name!r} is damaged; got {len(column)} of {wanted} rows of a row group; fetch or write it again"
                )
            return _parts(column)

    def row_name(self, row: int) -> str:
        """Return file and row within the file."""
        file = self._groups[int(self._groups_of([row])[0])][0]
        first = next(start for start, (number, _) in zip(self._starts, self._groups, strict=False) if number == file)
        return f"{shown(self._files[file])} row {row - int(first)}"

    def identity(self, rows: Rows) -> Iterator[bytes]:
        """Yield names, sizes and footers (which hold the sizes of every part) of the files, the rows, and files beside.

        Raises:
            DataError: a file is damaged or has changed.
        """
        for file in self._files:
            path = self._root / file
            with reading(file), path.open("rb") as opened:
                size = path.stat().st_size
                opened.seek(max(0, size - _FOOTER))
                footer = opened.read()
            yield f"{file}\0{size}\0".encode() + footer
        yield rows.astype("<i8").tobytes()
        for payload in self.payloads(rows[self._may_lack[self._groups_of(rows)]]):
            if isinstance(payload, str):
                size = os.path.getsize(payload) if os.path.isfile(payload) else 0
                yield f"{os.path.basename(payload)}\0{size}\0".encode(errors="surrogateescape")


def _may_lack_bytes(group: pq.RowGroupMetaData, column: str, kind: pa.DataType) -> bool:
    """Tell whether rows of a group may have paths and no bytes: by its statistics, or by its type if it has none."""
    if not pa.types.is_struct(kind):
        return is_text(kind)
    parts = [group.column(part) for part in range(group.num_columns)]
    statistics = next((part.statistics for part in parts if part.path_in_schema == f"{column}.bytes"), None)
    return statistics is None or not statistics.has_null_count or statistics.null_count > 0


def _parts(column: pa.ChunkedArray) -> _Column:
    if pa.types.is_struct(column.type):
        parts = dict(zip((field.name for field in column.type), column.flatten(), strict=True))
        return _Column(parts.get("bytes"), parts.get("path"))
    return _Column(None, column) if is_text(column.type) else _Column(column, None)
