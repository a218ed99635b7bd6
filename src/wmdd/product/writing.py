"""Write a distilled set as a folder that `datasets`, `torchvision` and plain pyarrow read, or in a simpler format.

The product folder is also a Hugging Face dataset repository: `README.md` (card), `data/` (images), `fkd/` (soft labels,
if stored: full ones with their views as Parquet, compact ones as the very files of the store, linked),
`exact.safetensors` (if the method optimises more than pixels), `manifest.json` (checksums, and whatever else
`wmdd.load` needs). The same input gives the same bytes.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.torch import save
from torch import Tensor

from wmdd.artifacts.files import link_or_copy, writing
from wmdd.artifacts.tensors import write_tensors
from wmdd.data.drawing import stored_tensors
from wmdd.errors import ArtifactError, ConfigError, DataError
from wmdd.mapped import BLOCK, row_blocks, taken
from wmdd.product.card import card, preview
from wmdd.product.checked import Flaw
from wmdd.product.folders import ExportFormat, folder_names, in_use, replace_folder, require_unused
from wmdd.product.image_rows import check_rows, check_sums
from wmdd.product.labels import epoch_table, list_column
from wmdd.product.manifest import EXACT, SHARD, file_entry, is_product, write_manifest
from wmdd.product.png import encode_png
from wmdd.product.reading import PortableSet, exact_tensors
from wmdd.values import DistilledSet, LazyEpochs, SoftLabels
from wmdd.values.labels import epoch_name

_FILE_BYTES = 200_000_000
"""Size of a shard: one of soft labels that has reached it is closed and the next one started; one of images holds as
many as take so much before they are compressed."""
_LABEL_BYTES = BLOCK // 4
"""Logits of a row group of soft labels: while it writes lists, Arrow takes a dozen times their memory."""
_ROW_GROUP, _SMALLEST_GROUP = 500, 50
"""Images encoded and written at a time, at most and at least: as many as take a `BLOCK` before they are compressed."""
_VALUE_TYPES = {"halffloat": "float16", "float": "float32", "double": "float64"}


def write_product(
    distilled: DistilledSet, soft_labels: SoftLabels | None, folder: Path, *, facts: Mapping[str, Any]
) -> None:
    """Write the product folder, replacing an older one in its place.

    The new folder is written beside the old one and renamed: no half-written folder is ever visible, and a failure
    leaves the old one untouched. If the teacher labels during training (`store == "online"`) only how to draw the
    views is written; the teacher is not part of the product.

    Args:
        distilled: images, labels and weights.
        soft_labels: the teacher's answers; epochs are read and written one at a time. None = images only.
        folder: where to write; its parent is made.
        facts: what the card says beyond the records; see `wmdd.product.card.card`.

    Raises:
        ArtifactError: `folder` holds anything but a distilled set, or cannot be written.
        DataError: the method made labels or weights that no set has, so that nobody could read it.
    """
    _check(distilled)
    with writing(folder):
        if in_use(folder) and not is_product(folder):
            raise ArtifactError(
                f"{folder}: will not replace what wmdd did not write; got other files; choose another folder"
            )
        replace_folder(folder, lambda work: _write_product(distilled, soft_labels, work, facts))


def export_set(
    distilled: DistilledSet, to: Path, format: ExportFormat, *, facts: Mapping[str, Any] | None = None
) -> None:
    """Write the images of a distilled set for other programs.

    - `imagefolder`: `train/<class>/<nnnn>.png` for `torchvision.datasets.ImageFolder`, whose labels are then the set's.
      Class names are made safe for file systems, and numbered if their alphabetical order is not that of the labels.
    - `parquet`: the product's `data/` and card (with `facts`, see `card`), for `datasets.load_dataset`.
    - `safetensors`: `distilled.safetensors` with `images`, `labels`, `weights`, and `exact`, `targets`, `rates`,
      `whitening` if the set has them; names and normalisation are metadata.

    Only `parquet` and `safetensors` keep the weights, only `safetensors` the exact values.

    Raises:
        ConfigError: the format is unknown, or `to` exists and is not an empty folder.
        ArtifactError: `to` cannot be written; nothing half-written stays.
    """
    writers: dict[str, Callable[[DistilledSet, Path], None]] = {
        "imagefolder": _write_imagefolder,
        "parquet": partial(_write_parquet, facts=facts or {}),
        "safetensors": _write_safetensors,
    }
    if format not in writers:
        raise ConfigError(f"unknown export format; got {format!r}; choose one of {', '.join(writers)}")
    with writing(to, advice="make room or choose another --to"):
        require_unused(to)
        replace_folder(to, lambda work: writers[format](distilled, work))


def _check(distilled: DistilledSet) -> None:
    count, ipc = len(distilled.labels), distilled.ipc
    try:
        if ipc < 1 or count != ipc * len(distilled.classes):
            raise Flaw(f"{count} images of {len(distilled.classes)} classes")
        check_rows(distilled.labels.numpy(), distilled.weights.numpy(), ipc)
        check_sums(distilled.weights.numpy(), ipc)
    except Flaw as flaw:
        raise DataError(f"method {distilled.method} made no distilled set; got {flaw}; mend the method") from None


def _write_product(
    distilled: DistilledSet, soft_labels: SoftLabels | None, folder: Path, facts: Mapping[str, Any]
) -> None:
    plain = soft_labels.plain if soft_labels is not None else None
    files = [file_entry(folder, path) for path in _write_images(distilled, plain, folder)]
    if exact := exact_tensors(distilled):
        (folder / EXACT).write_bytes(save(exact))
        files.append(file_entry(folder, folder / EXACT))
    if soft_labels is not None and soft_labels.epochs and soft_labels.has_files:
        write = _write_epochs if soft_labels.store == "full" else _write_shards
        files += [file_entry(folder, path, epochs=n) for path, n in write(soft_labels, distilled, folder)]
    _write_card(distilled, soft_labels, folder, facts)
    write_manifest(folder, {**_manifest(distilled, soft_labels), "files": files})


def _manifest(distilled: DistilledSet, soft_labels: SoftLabels | None) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "method": distilled.method,
        "ipc": distilled.ipc,
        "image_size": distilled.image_size,
        "channels": int(distilled.images.shape[1]),
        "classes": list(distilled.classes),
        "mean": list(distilled.mean),
        "std": list(distilled.std),
        "kernel": distilled.kernel,
    }
    if soft_labels is not None:
        facts |= {
            "store": soft_labels.store,
            "batch": soft_labels.batch,
            "temperature": soft_labels.temperature,
            "num_epochs": len(soft_labels.epochs),
            "redrawn": soft_labels.redrawn,
            "pooled": soft_labels.pooled,
            **({} if soft_labels.drawn is None else {"drawn": asdict(soft_labels.drawn)}),
        }
    return facts


def _write_card(
    distilled: DistilledSet, soft_labels: SoftLabels | None, folder: Path, facts: Mapping[str, Any]
) -> None:
    patterns = {"data": "data/*", "fkd": "fkd/*", "exact": EXACT}
    sizes = {part: sum(file.stat().st_size for file in folder.glob(files)) for part, files in patterns.items()}
    (folder / "README.md").write_text(card(distilled, soft_labels, facts, sizes=sizes), "utf-8")
    (folder / "preview.png").write_bytes(preview(distilled))


def _write_images(distilled: DistilledSet, plain: Tensor | None, folder: Path) -> list[Path]:
    """Write `data/`, a few images in memory at a time; return its files in order."""
    (folder / "data").mkdir()
    schema = _described(_image_table(distilled, plain, slice(0, 0)).schema, distilled.classes)
    size = math.prod(distilled.images.shape[1:]) + (0 if plain is None else 4 * plain.shape[1])
    group = max(_SMALLEST_GROUP, min(_ROW_GROUP, BLOCK // size))
    shards = _parts(slice(0, len(distilled.labels)), max(1, _FILE_BYTES // size // group) * group)
    paths = [folder / "data" / f"train-{number:05d}-of-{len(shards):05d}.parquet" for number in range(len(shards))]
    for path, shard in zip(paths, shards, strict=True):
        # Pictures and logits are all different: dictionaries of them would take memory and save nothing.
        encoded = ["label", "weight"]
        with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=encoded) as writer:  # pyright: ignore[reportArgumentType] - a list, too
            for rows in _parts(shard, group):
                _write_group(writer, _image_table(distilled, plain, rows))
    return paths


def _write_group(writer: pq.ParquetWriter, table: pa.Table) -> None:
    """Write a table as one row group, and give back what Arrow would keep of the memory that this took."""
    writer.write_table(table.cast(writer.schema), row_group_size=max(1, len(table)))
    pa.default_memory_pool().release_unused()


def _parts(rows: slice, size: int) -> list[slice]:
    return [slice(start, min(start + size, rows.stop)) for start in range(rows.start, rows.stop, size)]


def _image_table(distilled: DistilledSet, plain: Tensor | None, rows: slice) -> pa.Table:
    with ThreadPoolExecutor() as pool:
        pngs = list(pool.map(encode_png, taken(distilled.images, rows)))
    labels = distilled.labels[rows]
    names = (f"{label:05d}_{at % distilled.ipc:04d}.png" for at, label in enumerate(labels.tolist(), rows.start))
    pictures = [{"bytes": png, "path": name} for png, name in zip(pngs, names, strict=True)]
    columns = {
        "image": pa.array(pictures, pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        "label": pa.array(labels.numpy()),
        "weight": pa.array(distilled.weights[rows].float().numpy()),
    }
    if plain is not None:
        columns["soft_label"] = list_column(taken(plain, rows).float())
    return pa.table(columns)


def _write_epochs(soft_labels: SoftLabels, distilled: DistilledSet, folder: Path) -> Iterator[tuple[Path, int]]:
    """Write `fkd/`, whole row groups per epoch; yield each finished file with its number of epochs."""
    (folder / "fkd").mkdir()
    schema = _described(epoch_table(0, soft_labels.epochs[0].rows(0, 1)).schema, distilled.classes)
    number, total = 0, len(soft_labels.epochs)
    while number < total:
        path, first = folder / "fkd" / f"train-{number:05d}.parquet", number
        with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=False) as writer:
            while number == first or (number < total and path.stat().st_size < _FILE_BYTES):
                epoch = soft_labels.epochs[number]
                answers = next(iter(epoch.answers().values()), epoch.views.index)
                for rows in row_blocks(answers, _LABEL_BYTES):
                    _write_group(writer, epoch_table(number, epoch.rows(rows.start, rows.stop)))
                number += 1
        yield path, number - first


def _write_shards(soft_labels: SoftLabels, distilled: DistilledSet, folder: Path) -> Iterator[tuple[Path, int]]:
    """Put compact labels into `fkd/`, an epoch a file; yield each file with its number of epochs."""
    del distilled
    (folder / "fkd").mkdir()
    epochs = soft_labels.epochs
    for number in range(len(epochs)):
        path = folder / "fkd" / f"{epoch_name(number)}{SHARD}"
        if isinstance(epochs, LazyEpochs) and epochs.file is not None:
            link_or_copy(epochs.file(number), path)
        else:
            write_tensors(path, stored_tensors(epochs[number], redrawn=soft_labels.redrawn), {})
        yield path, 1


def _described(schema: pa.Schema, classes: Sequence[str]) -> pa.Schema:
    """Return the schema with the metadata that tells `datasets` about images and class names."""
    features = {field.name: _feature(field.type) for field in schema}
    if "label" in features:
        features["label"] = {"_type": "ClassLabel", "names": list(classes)}
    return schema.with_metadata({"huggingface": json.dumps({"info": {"features": features}}, ensure_ascii=False)})


def _feature(kind: pa.DataType) -> dict[str, Any]:
    if pa.types.is_struct(kind):
        return {"_type": "Image"}
    if pa.types.is_fixed_size_list(kind):
        return {"_type": "List", "feature": _feature(kind.value_type), "length": kind.list_size}
    return {"_type": "Value", "dtype": _VALUE_TYPES.get(str(kind), str(kind))}


def _write_imagefolder(distilled: DistilledSet, folder: Path) -> None:
    names = folder_names(distilled.classes)
    for label, name in enumerate(names):
        inside = folder / "train" / name
        inside.mkdir(parents=True)
        for number, image in enumerate(distilled.images[distilled.labels == label]):
            (inside / f"{number:04d}.png").write_bytes(encode_png(image))


def _write_parquet(distilled: DistilledSet, folder: Path, *, facts: Mapping[str, Any]) -> None:
    soft_labels = distilled.soft_labels if isinstance(distilled, PortableSet) else None
    _write_images(distilled, soft_labels.plain if soft_labels is not None else None, folder)
    _write_card(distilled, None, folder, facts)


def _write_safetensors(distilled: DistilledSet, folder: Path) -> None:
    about = {name: getattr(distilled, name) for name in ("method", "classes", "mean", "std", "kernel")}
    tensors = {name: getattr(distilled, name).contiguous() for name in ("images", "labels", "weights")}
    tensors |= exact_tensors(distilled)
    # One key: the library does not promise an order of several, and equal sets should give equal bytes.
    (folder / "distilled.safetensors").write_bytes(save(tensors, metadata={"wmdd": json.dumps(about)}))
