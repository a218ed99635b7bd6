"""Seeded damage to every file of a distilled set: it is noticed in one line, or it changes nothing."""

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from altered import IMAGES, LABELS, alter_table, reseal, with_value, written, written_before

from mutations import damaged, damaged_json
from wmdd.errors import WmddError
from wmdd.product.manifest import EXACT
from wmdd.product.reading import PortableSet, load
from wmdd.report.gallery import read_gallery

pytestmark = pytest.mark.slow
STORES = ("full", "topk", "online")


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {store: written(tmp_path_factory.mktemp("originals") / store, store) for store in STORES}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Sets as they were before labels were compact: every store as a table."""
    return {store: written_before(tmp_path_factory.mktemp("tables") / store, store) for store in STORES}


def parts(folder: Path) -> list[Path]:
    """Return the files of a set apart from its manifest: images, exact values, the first labels if some are kept."""
    return [folder / IMAGES, folder / EXACT, *sorted((folder / "fkd").glob("*"))[:1]]


def content(folder: Path) -> list[Any]:
    """Return everything that can be read of a set, as plain values, and what the report shows of it."""
    small = load(folder)
    assert small.soft_labels is not None
    about = [small.method, small.classes, small.mean, small.std, small.ipc, read_gallery(folder, None)]
    labels = [small.soft_labels.store, small.soft_labels.batch, small.soft_labels.temperature]
    tensors = [getattr(small, name) for name in ("images", "labels", "weights", "exact", "targets", "rates")]
    epochs = [value for epoch in small.soft_labels.epochs for value in epoch.tensors().values()]
    return [about, labels, [each.tolist() for each in (*tensors, small.soft_labels.plain, *epochs) if each is not None]]


def content_or_line(folder: Path) -> list[Any] | None:
    try:
        return content(folder)
    except WmddError as error:
        line = str(error)
    assert "\n" not in line
    assert len(line) < 800
    return None


def require_sound(small: PortableSet) -> None:
    """Assert what the records promise."""
    assert small.labels.tolist() == sorted(small.labels.tolist())
    assert small.weights.isfinite().all()
    torch.testing.assert_close(small.weights.view(len(small.classes), -1).sum(1), torch.ones(len(small.classes)))
    for images, targets, weights in small.loader(batch_size=3):
        assert all(bool(each.isfinite().all()) for each in (images, targets, weights))


@pytest.mark.parametrize("seed", range(150))
def test_damaged_files_are_noticed_by_their_checksums(seed: int, originals: dict[str, Path], tmp_path: Path) -> None:
    original = originals[STORES[seed % 3]]
    folder = Path(shutil.copytree(original, tmp_path / "set"))
    files = (*parts(folder), folder / "manifest.json")
    path = files[seed // 3 % len(files)]
    path.write_bytes(damaged(path.read_bytes(), seed))
    found = content_or_line(folder)
    assert found is None or (path.name == "manifest.json" and found == content(original))


@pytest.mark.parametrize("seed", range(150))
def test_damaged_manifests(seed: int, originals: dict[str, Path], tmp_path: Path) -> None:
    original = originals[STORES[seed % 3]]
    folder = Path(shutil.copytree(original, tmp_path / "set"))
    manifest = damaged_json(json.loads((folder / "manifest.json").read_text("utf-8")), seed)
    (folder / "manifest.json").write_text(_json(manifest))
    assert content_or_line(folder) in (None, content(original))


@pytest.mark.parametrize("seed", range(200))
def test_damaged_files_with_true_checksums(seed: int, originals: dict[str, Path], tmp_path: Path) -> None:
    """Whoever makes the checksums true says that the content is meant: other pixels and numbers, but sound ones."""
    folder = Path(shutil.copytree(originals[STORES[seed % 3]], tmp_path / "set"))
    files = parts(folder)
    path = files[seed // 3 % len(files)]
    path.write_bytes(damaged(path.read_bytes(), seed))
    reseal(folder)
    if content_or_line(folder) is not None:
        require_sound(load(folder))


VALUES: tuple[Any, ...] = (None, -1, -5, 1e9, 32000, float("nan"), float("inf"), b"", b"\x89PNG", "x", True, [], {})


@pytest.mark.parametrize("seed", range(200))
def test_altered_rows_with_true_checksums(seed: int, tables: dict[str, Path], tmp_path: Path) -> None:
    rng = random.Random(seed)
    folder = Path(shutil.copytree(tables[STORES[seed % 3]], tmp_path / "set"))
    file = (IMAGES, LABELS)[seed // 3 % 2]
    column, action = rng.choice(pq.read_schema(folder / file).names), rng.randrange(4)

    def change(table: pa.Table) -> pa.Table:
        row = rng.randrange(len(table))
        if action == 0:
            return table.drop_columns([column])
        if action == 1:  # another column is lost, this one is there twice
            return table.set_column(0, column, table.column(column))
        if action == 2:
            return table.slice(row)
        try:
            return with_value(table, column, row, _wrong(table.column(column)[row].as_py(), rng))
        except (pa.ArrowException, OverflowError, TypeError, ValueError):  # the column's type cannot hold it
            return table.take([row] * len(table))

    alter_table(folder, file, change)
    if content_or_line(folder) is not None:
        require_sound(load(folder))


def _wrong(value: Any, rng: random.Random) -> Any:
    """Return another value, or the same list or picture with another part."""
    if isinstance(value, dict) and rng.random() < 0.7:
        return {**value, "bytes": damaged(value["bytes"], rng.randrange(10**6))}
    if isinstance(value, list) and rng.random() < 0.8:
        changed = list(value)
        changed[rng.randrange(len(value))] = rng.choice(VALUES)
        return changed
    return rng.choice(VALUES)


def _json(value: Any) -> str:
    """Return a value as JSON; of lists that are nested too deeply for Python's writer, only these."""
    try:
        return json.dumps(value)
    except RecursionError:
        return '{"format": "wmdd-distilled", "schema": ' + "[" * 5000 + "]" * 5000 + "}"
