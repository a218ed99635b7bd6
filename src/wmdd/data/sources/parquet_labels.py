"""Labels of Parquet files: numbers or words, with -1 and null for images without a label, as `datasets` has it."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from wmdd.data.sources.listing import Rows
from wmdd.data.sources.parquet_columns import is_text, plain
from wmdd.data.sources.parquet_reading import open_parquet, reading
from wmdd.errors import DataError

_NO_LABEL = frozenset({"", "-1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """The labels of one split."""

    values: tuple[int | str, ...]
    """The different labels, sorted; words are NFC."""
    codes: Rows
    """int64 `(N,)`: position of each image's label in `values`; -1 = it has none."""

    @classmethod
    def none(cls, count: int) -> "Labels":
        """Return the labels of `count` images that have none."""
        return cls(values=(), codes=np.full(count, -1, dtype=np.int64))

    @property
    def missing(self) -> int:
        """Number of images without a label."""
        return int((self.codes < 0).sum())


def read_labels(root: Path, files: Sequence[str], column: str) -> Labels:
    """Return the labels of files whose `column` is of one kind.

    Raises:
        DataError: a file is damaged, or its labels are negative or not whole.
    """
    parts = [_read(root, file, column) for file in files]
    values = sorted({value for part in parts for value in part[0]})
    table = {value: code for code, value in enumerate(values)}
    codes = [np.array([*(table[value] for value in part[0]), -1], dtype=np.int64)[part[1]] for part in parts]
    return Labels(values=tuple(values), codes=np.concatenate(codes))


def _read(root: Path, file: str, column: str) -> tuple[list[int] | list[str], Rows]:
    """Return labels, which may be equal after normalisation, and the position of each row's, or -1."""
    with reading(file):
        with open_parquet(root / file) as opened:
            table = opened.read(columns=[column], use_threads=False)
        labels = table[0].combine_chunks()
        if len(labels) != opened.metadata.num_rows:
            raise DataError(
                f"{file!r} is damaged; got {len(labels)} labels of {opened.metadata.num_rows} rows; "
                "fetch or write it again"
            )
        kind = plain(labels.type)
        labels = labels.cast(kind) if kind != labels.type else labels
        if pa.types.is_null(kind):
            return [], np.full(len(labels), -1, dtype=np.int64)
        if pa.types.is_boolean(kind):
            return _words(pa.array(["False", "True"]).take(labels.cast(pa.int8())))
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            return _numbers(labels, file, column)
        return _words(labels if is_text(kind) else labels.cast(pa.large_string()))


def _numbers(labels: pa.Array, file: str, column: str) -> tuple[list[int], Rows]:
    if pa.types.is_floating(labels.type):  # pandas turns whole numbers with gaps into these
        values = labels.to_numpy(zero_copy_only=False).astype(np.float64)
        odd = values[~np.isnan(values) & ~(np.isfinite(values) & (values == np.rint(values)))]
        if len(odd):
            raise DataError(
                f"the labels in {column!r} of {file!r} are not whole numbers; got {odd[0]}; "
                "choose another column by --data.label_column"
            )
        whole = np.where(np.isnan(values), -1, values).astype(np.int64)
    else:
        whole = labels.cast(pa.int64()).fill_null(-1).to_numpy()
    found, codes = np.unique(whole, return_inverse=True)
    if (found < -1).any():
        raise DataError(
            f"a label in {column!r} of {file!r} is negative; got {found[0]}; number the classes from 0, and images "
            "without a label by -1"
        )
    first = int((found < 0).sum())
    return found[first:].tolist(), codes.astype(np.int64) - first


def _words(labels: pa.Array) -> tuple[list[str], Rows]:
    encoded = labels.dictionary_encode()
    words = [unicodedata.normalize("NFC", word) for word in encoded.dictionary.to_pylist()]
    kept = [place for place, word in enumerate(words) if word.strip() not in _NO_LABEL]
    table = np.full(len(words) + 1, -1, dtype=np.int64)
    table[kept] = np.arange(len(kept))
    return [words[place] for place in kept], table[encoded.indices.fill_null(-1).to_numpy()]
