"""Parquet files with Hugging Face image features: a column of `{bytes, path}` and a column of labels.

The schema's metadata under `huggingface` tells which columns these are, and the class names; without it, column names
decide. Files are assigned to splits by name (`train-*`, `validation-*`, `test-*`) or folder. Images are read by row
group, so shuffled reading of a set that does not fit in memory reads a whole group for each image: unpack such a set
into class folders.
"""

import json
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wmdd.data.sources.listing import Listing, Payload, Rows, Source, Splits, Store, in_one_line
from wmdd.data.sources.walking import image_files
from wmdd.errors import DataError

_SPLITS = {"train": "train", "validation": "val", "valid": "val", "val": "val", "dev": "val", "test": "test"}
_SPLIT_WORD = re.compile(rf"(?:^|[/_.-])({'|'.join(_SPLITS)})(?=[/_.-])")
_LABELS = ("label", "labels", "fine_label", "class", "target")
_KEPT_GROUPS = 4


def parquet_files(root: Path) -> list[str]:
    """Return the Parquet files of a folder, relative to it.

    They are its own, else those of `data/`, of its splits' folders, or of the only folder that has any.

    Raises:
        DataError: several folders have some.
    """
    for folder in (root, root / "data"):
        if files := sorted(folder.glob("*.parquet")):
            return [file.relative_to(root).as_posix() for file in files]
    below = (path.relative_to(root) for path in root.glob("[!.]*/**/*.parquet"))
    files = sorted(path.as_posix() for path in below if not any(part.startswith(".") for part in path.parts))
    tops = sorted({path.split("/")[0] for path in files})
    if set(tops) <= set(_SPLITS):
        return files
    if len(tops) == 1:
        return [f"{tops[0]}/{file}" for file in parquet_files(root / tops[0])]
    if tops:
        raise DataError(
            f"{os.fspath(root)!r} holds several sets of Parquet files; got {', '.join(tops)}; give one of these folders"
        )
    return []


def holds_parquet(folder: Path) -> bool:
    """Tell whether a folder is a data set of Parquet files: with some at its top, or with some and no image files."""
    own = any(folder.glob("*.parquet")) or any(folder.glob("data/*.parquet"))
    return own or (next(image_files(folder, folder), None) is None and bool(parquet_files(folder)))


def list_parquet(root: Path, name: str) -> Splits:
    """List the training and, where there is one, the validation split of a Parquet file or a folder of them.

    Raises:
        DataError: a file is damaged, has no image or label column, or an image has no label.
    """
    if root.is_file():
        splits = {"train": [root.name]}
        root = root.parent
    else:
        splits = _by_split(parquet_files(root))
    val = splits.get("val") or splits.get("test")
    train = _Table(root, splits["train"], name)
    classes = train.class_names()
    return Splits(
        train=train.listing(classes, "train"), val=_Table(root, val, name).listing(classes, "val") if val else None
    )


def _by_split(files: Sequence[str]) -> dict[str, list[str]]:
    splits: dict[str, list[str]] = {}
    for file in files:
        words = _SPLIT_WORD.findall(file.lower())
        splits.setdefault(_SPLITS[words[-1]] if words else "train", []).append(file)
    if "train" not in splits:
        raise DataError(f"no Parquet file of training images; got {', '.join(files[:5])}; name one train-*.parquet")
    return splits


class _Table:
    def __init__(self, root: Path, files: Sequence[str], name: str) -> None:
        self.root, self.files, self.name = root, files, name
        try:
            schema = pq.read_schema(root / files[0])
            self.image, self.label, self.names = _columns(schema, files[0])
            columns = [pq.read_table(root / file, columns=[self.label]).column(0) for file in files]
            self.labels = [value for column in columns for value in column.to_pylist()]
        except (pa.ArrowException, KeyError) as error:
            raise DataError(
                f"cannot read a Parquet file of {name!r}; got {in_one_line(error)}; fetch it again"
            ) from None

    def class_names(self) -> tuple[str, ...]:
        """Return ClassLabel's names, else the sorted labels of the files."""
        if self.names is not None:
            return self.names
        return tuple(str(value) for value in sorted({value for value in self.labels if value is not None}))

    def listing(self, classes: tuple[str, ...], split: str) -> Listing:
        """Return the listing with labels as positions in `classes`."""
        table: dict[Any, int] = {name: label for label, name in enumerate(classes)}
        if self.names is not None:
            table = {label: table.get(name, -1) for label, name in enumerate(self.names)}
        labels = np.array(
            [table.get(value if self.names is not None else str(value), -1) for value in self.labels], dtype=np.int64
        )
        if (labels < 0).any():
            value = self.labels[int(np.argmax(labels < 0))]
            if self.names is not None and value in range(len(self.names)):
                value = self.names[value]
            raise DataError(
                f"the {split} images of {self.name!r} have a label that is none of the {len(classes)} classes; "
                f"got {value!r}; remove them or name the class"
            )
        store: Store = ParquetStore(self.root, self.files, self.image)
        return Listing.of(store, labels, name=self.name, split=split, classes=classes)


def _columns(schema: pa.Schema, file: str) -> tuple[str, str, tuple[str, ...] | None]:
    """Return the image column, the label column and the class names, if known."""
    stored = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    features: dict[str, Any] = stored.get("info", {}).get("features", {})
    kinds = {column: feature.get("_type") for column, feature in features.items() if isinstance(feature, dict)}
    images = [column for column, kind in kinds.items() if kind == "Image"] or [
        field.name for field in schema if _holds_bytes(field.type)
    ]
    named = [column for column, kind in kinds.items() if kind == "ClassLabel"]
    known = [column for column in _LABELS if column in schema.names]
    labels = [column for column in known if column in named] or named or known
    if not images or not labels:
        wanted = "a column of image bytes" if not images else f"a label column ({', '.join(_LABELS)})"
        raise DataError(
            f"{file} has not {wanted}; got columns {', '.join(schema.names)}; write Hugging Face image features"
        )
    names = features[labels[0]].get("names") if labels[0] in named else None
    return images[0], labels[0], tuple(names) if names else None


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return any(field.name == "bytes" for field in kind)
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


class ParquetStore:
    """Rows of Parquet files, read one row group at a time; the last few groups are kept in memory."""

    def __init__(self, root: Path, files: Sequence[str], column: str) -> None:
        self._root, self._files, self._column = root, tuple(files), column
        self._groups: list[tuple[int, int]] = []
        """File and row group of every group."""
        lengths: list[int] = []
        for number, file in enumerate(files):
            metadata = pq.read_metadata(root / file)
            lengths += [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
            self._groups += [(number, group) for group in range(metadata.num_row_groups)]
        self._starts = np.cumsum([0, *lengths])
        self._forget()

    def _forget(self) -> None:
        self._kept: OrderedDict[int, pa.ChunkedArray] = OrderedDict()
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in {"_kept", "_lock"}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    def payloads(self, rows: Sequence[int] | Rows) -> Iterator[Payload]:
        """Yield the bytes of each row's image; sorted rows read every group once."""
        current, column = -1, None
        for row, group in zip(rows, np.searchsorted(self._starts, rows, "right") - 1, strict=True):
            if group != current or column is None:
                current, column = int(group), self._group(int(group))
            yield column[int(row) - int(self._starts[group])].as_py()

    def _group(self, group: int) -> pa.ChunkedArray:
        with self._lock:
            if group not in self._kept:
                self._kept[group] = self._read(group)
                while len(self._kept) > _KEPT_GROUPS:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(group)
            return self._kept[group]

    def _read(self, group: int) -> pa.ChunkedArray:
        file, number = self._groups[group]
        # No threads of Arrow's own: worker processes may be forked from a process that already has some.
        with pq.ParquetFile(self._root / self._files[file], pre_buffer=False) as opened:
            table = opened.read_row_group(number, columns=[self._column], use_threads=False)
        return table.flatten().column(f"{self._column}.bytes") if pa.types.is_struct(table.schema[0].type) else table[0]

    def row_name(self, row: int) -> str:
        """Return file and row within the file."""
        group = int(np.searchsorted(self._starts, row, "right")) - 1
        file = self._groups[group][0]
        first = next(start for start, (number, _) in zip(self._starts, self._groups, strict=False) if number == file)
        return f"{self._files[file]} row {row - int(first)}"

    def identity(self, rows: Rows) -> Iterator[bytes]:
        """Yield names, sizes and footers (which hold the sizes of every part) of the files, and the rows."""
        for file in self._files:
            path = self._root / file
            size = path.stat().st_size
            with path.open("rb") as opened:
                opened.seek(max(0, size - 65536))
                yield f"{file}\0{size}\0".encode() + opened.read()
        yield rows.astype("<i8").tobytes()


def _is_parquet(data: str) -> bool:
    path = Path(data).expanduser()
    return (path.is_file() and path.suffix == ".parquet") or (path.is_dir() and holds_parquet(path))


def _list_path(data: str) -> Splits:
    path = Path(data).expanduser()
    return list_parquet(path, path.stem if path.is_file() else path.resolve().name)


PARQUET = Source(
    forms={
        "FOLDER or FILE of Parquet": "Hugging Face image features; files named train-*, validation-*, test-*",
    },
    claims=_is_parquet,
    list_splits=_list_path,
)
