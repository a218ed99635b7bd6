"""A small distilled set on disk whose content is altered while its checksums are kept true."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from wmdd.data.views import epoch_views
from wmdd.product.labels import epoch_table, list_column
from wmdd.product.manifest import file_entry, write_manifest
from wmdd.product.writing import write_product
from wmdd.settings import ViewSettings
from wmdd.values import DistilledSet, EpochLabels, SoftLabels

SIDE, IPC, EPOCHS = 8, 2, 2
CLASSES = ("cat", "dog", "eel")
COUNT = len(CLASSES) * IPC
IMAGES, LABELS = "data/train-00000-of-00001.parquet", "fkd/train-00000.parquet"


def stream(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn_set() -> DistilledSet:
    """Return a set with everything that a set may have."""
    return DistilledSet(
        method="wmdd",
        images=torch.randint(256, (COUNT, 3, SIDE, SIDE), generator=stream(0), dtype=torch.uint8),
        labels=torch.arange(len(CLASSES)).repeat_interleave(IPC),
        weights=torch.tensor([0.25, 0.75]).repeat(len(CLASSES)),
        classes=CLASSES,
        mean=(0.5, 0.4, 0.3),
        std=(0.2, 0.25, 0.3),
        exact=torch.randn(COUNT, 3, SIDE, SIDE, generator=stream(1)),
        targets=torch.randn(COUNT, len(CLASSES), generator=stream(2)),
        rates=torch.tensor([0.5, 0.25]),
    )


def drawn_labels(store: str) -> SoftLabels:
    epochs: list[EpochLabels] = []
    for number in range(EPOCHS):
        views = epoch_views(
            COUNT, 4, SIDE, SIDE, ViewSettings(cutmix=1), generator_for=stream, shuffle=stream(90 + number)
        )
        logits = torch.randn(COUNT, len(CLASSES), generator=stream(number)).half()
        top = logits.topk(2, dim=1)
        parts: dict[str, Any] = {
            "full": {"logits": logits},
            "online": {"logits": None},
            "topk": {"logits": top.values, "classes": top.indices.int(), "rest": logits[:, 0]},
        }[store]
        epochs.append(EpochLabels(views=views, **parts))
    plain = torch.randn(COUNT, len(CLASSES), generator=stream(7))
    return SoftLabels(
        store=store, batch=4, temperature=20.0, num_classes=len(CLASSES), epochs=epochs, plain=plain, num_bytes=0
    )


def written(folder: Path, store: str = "full") -> Path:
    """Write the set to `folder` and return it."""
    write_product(drawn_set(), drawn_labels(store), folder, facts={})
    return folder


def written_before(folder: Path, store: str) -> Path:
    """Write the set as it was before labels were compact: every store as a table, `topk` in 16 bits beside a rest."""
    labels = drawn_labels(store)
    write_product(drawn_set(), drawn_labels("full"), folder, facts={})
    with pq.ParquetWriter(folder / LABELS, _table_before(0, labels.epochs[0]).schema) as writer:
        for number, epoch in enumerate(labels.epochs):
            writer.write_table(_table_before(number, epoch), row_group_size=COUNT)
    reseal(folder, store=store)
    return folder


def _table_before(number: int, epoch: EpochLabels) -> pa.Table:
    table = epoch_table(number, epoch)
    if epoch.classes is None or epoch.rest is None:
        return table
    table = table.append_column("classes", list_column(epoch.classes.int()))
    return table.append_column("rest", pa.array(epoch.rest.numpy()))


def reseal(folder: Path, **facts: Any) -> None:
    """Make sizes and checksums true again, with other facts in the manifest."""
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    for entry in manifest["files"]:
        path = folder / entry["path"]
        extra = {name: entry[name] for name in ("epochs",) if name in entry}
        entry.update(file_entry(folder, path, **extra))
    write_manifest(folder, {**manifest, **facts})


def alter_table(folder: Path, file: str, change: Callable[[pa.Table], pa.Table]) -> None:
    """Replace every row group of a Parquet file by what `change` makes of it."""
    with pq.ParquetFile(folder / file) as parquet:
        groups = [change(parquet.read_row_group(number)) for number in range(parquet.num_row_groups)]
    with pq.ParquetWriter(folder / file, groups[0].schema) as writer:
        for group in groups:
            writer.write_table(
                group.replace_schema_metadata(groups[0].schema.metadata), row_group_size=max(1, len(group))
            )
    reseal(folder)


def with_value(table: pa.Table, column: str, row: int, value: Any) -> pa.Table:
    """Return a table with one value replaced."""
    at = table.column_names.index(column)
    values = table.column(column).to_pylist()
    values[row] = value
    return table.set_column(at, table.schema.field(column), pa.array(values, table.schema.field(column).type))


def with_column(table: pa.Table, column: str, values: pa.Array) -> pa.Table:
    """Return a table with a column replaced by one of another type."""
    return table.set_column(table.column_names.index(column), column, values)
