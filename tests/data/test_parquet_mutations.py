"""Seeded damage to a set of Parquet files: the same images and labels, or one line."""

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mutations import damaged, damaged_json
from parquet_files import LAZY, opened, png
from wmdd.errors import WmddError

FILES = ("train-0.parquet", "train-1.parquet", "test.parquet")
NAMES = ["cat", "ant", "bee"]
STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
FEATURES = {
    "id": {"dtype": "int64", "_type": "Value"},
    "image": {"_type": "Image"},
    "label": {"names": NAMES, "_type": "ClassLabel"},
}


def table_of(first: int) -> pa.Table:
    images = [{"bytes": png(first + 10 * number), "path": f"{number}.png"} for number in range(9)]
    columns = {"id": pa.array(range(9)), "image": pa.array(images, STRUCT), "label": pa.array([0, 1, 2] * 3)}
    return pa.table(columns).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": FEATURES}})})


TABLES = {file: table_of(first) for file, first in zip(FILES, (10, 11, 12), strict=True)}


def store(table: pa.Table, path: Path) -> None:
    """Write with checksums: without them a changed byte within a page cannot be told from data."""
    pq.write_table(table, path, row_group_size=4, write_page_checksum=True)


def write_set(folder: Path) -> None:
    for file, table in TABLES.items():
        store(table, folder / file)


def content(folder: Path, memory_gb: float) -> list[Any]:
    """Return what a run would use, classes, labels and pixels of both splits, or the warnings if there are some."""
    splits = opened(folder, memory_gb=memory_gb, image_size=8, channels=3)
    seen = [(s.classes, s.labels.tolist(), s.images.fetch(range(len(s))).tolist()) for s in splits]
    return [warning.kind for warning in splits[0].warnings] or seen


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    folder = tmp_path_factory.mktemp("whole")
    write_set(folder)
    assert content(folder, 1.0) == content(folder, LAZY)
    return content(folder, 1.0)


def same_or_one_line(folder: Path, whole: list[Any], seed: int) -> None:
    try:
        got = content(folder, LAZY if seed % 2 else 1.0)
    except WmddError as error:
        got = str(error).splitlines()
        same = len(got) == 1 and 20 < len(got[0]) < 2000
    else:
        same = got in (whole, ["unlabelled"])  # a column of nothing is a split, or a file, without labels
    assert same, got


def dumps(value: Any) -> str:
    """Write JSON of any depth."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(30_000)
    try:
        return json.dumps(value)
    finally:
        sys.setrecursionlimit(limit)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100))
def test_damaged_bytes(tmp_path: Path, whole: list[Any], seed: int) -> None:
    write_set(tmp_path)
    path = tmp_path / FILES[seed % 3]
    path.write_bytes(damaged(path.read_bytes(), seed))
    same_or_one_line(tmp_path, whole, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60))
def test_damaged_descriptions(tmp_path: Path, whole: list[Any], seed: int) -> None:
    write_set(tmp_path)
    file = FILES[seed % 3]
    described = dumps(damaged_json({"info": {"features": FEATURES}}, seed))
    store(TABLES[file].replace_schema_metadata({"huggingface": described}), tmp_path / file)
    same_or_one_line(tmp_path, whole, seed)


KINDS: tuple[Callable[[pa.ChunkedArray], pa.ChunkedArray | pa.Array], ...] = (
    lambda column: pa.nulls(len(column)),
    lambda column: pa.array([str(value) for value in column.to_pylist()]),
    lambda column: pa.array([[value] for value in column.to_pylist()]),
    lambda column: pa.array([{"value": value} for value in column.to_pylist()]),
    lambda column: pa.array(range(len(column)), pa.float32()),
    lambda column: pa.array([None] * len(column), pa.int64()),
    lambda column: pa.array([repr(value).encode() for value in column.to_pylist()]),
    lambda column: pa.array([repr(value)[:1] for value in column.to_pylist()]).dictionary_encode(),
    lambda column: pa.array([True] * len(column)),
)


def changed(table: pa.Table, seed: int) -> pa.Table:
    """Return the table with one column dropped, renamed, doubled, moved or retyped."""
    rng = random.Random(seed)
    at = rng.randrange(table.num_columns)
    name, column = table.column_names[at], table.column(at)
    names = list(table.column_names)
    action = rng.randrange(6)
    if action == 0:
        return table.remove_column(at)
    if action == 1:
        names[at] = rng.choice(["x", "Image", "Label", "labels", "image", "label", "a.b", ""])
        return table.rename_columns(names)
    if action == 2:
        return table.add_column(rng.randrange(table.num_columns + 1), rng.choice([name, "target", "img"]), column)
    if action == 3:
        rng.shuffle(names)
        return table.select(names)
    return table.set_column(at, name, rng.choice(KINDS)(column))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100))
@pytest.mark.parametrize("described", [True, False])
def test_changed_tables(tmp_path: Path, whole: list[Any], seed: int, described: bool) -> None:
    write_set(tmp_path)
    file = FILES[seed % 3]
    table = changed(TABLES[file], seed)
    store(table if described else table.replace_schema_metadata(None), tmp_path / file)
    same_or_one_line(tmp_path, whole, seed)
