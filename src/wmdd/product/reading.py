"""Read a distilled set back from its folder, and train on it: pyarrow, Pillow and torch are enough.

Every file is checked against the manifest's SHA-256 before it is used: the images when the set is opened, each file of
soft labels when one of its epochs is first read.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.torch
import torch
from torch import Tensor

from wmdd.data.inputs import view_inputs
from wmdd.data.loading import batch_spans
from wmdd.data.views import cutmix_share
from wmdd.errors import ArtifactError, ConfigError
from wmdd.product.checked import CheckedFile, damaged
from wmdd.product.labels import column_tensor, epoch_from_table, soft_targets
from wmdd.product.png import decode_png
from wmdd.values import DistilledSet, EpochLabels, LazyEpochs, SoftLabels

MANIFEST = "manifest.json"
FORMAT = "wmdd-distilled"
EXACT = "exact.safetensors"
"""File with the set's `exact`, `targets` and `rates`, where it has them."""
SCHEMA = 1
"""Version of the folder's layout; newer ones are refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PortableSet(DistilledSet):
    """A distilled set read from its folder, together with the teacher's soft labels."""

    soft_labels: SoftLabels | None = None
    """None if the set was stored without any; epochs are read from disk one at a time."""
    folder: Path | None = None
    """The folder that it was read from."""

    def loader(
        self, batch_size: int = 50, epochs: int | None = None, *, device: str | torch.device = "cpu"
    ) -> "Loader":
        """Return the training batches: an iterable of (images, targets, weights); `len()` is the number of batches.

        - images float32 `(B, ch, R, R)`: the stored views, replayed and normalised by the set's mean and std.
        - targets float32 `(B, C)`: softmax(z / T) of the teacher's stored logits z for that view. If the set has no
          logits of views (`online`), the teacher's answers for the plain images, mixed by the CutMix box's share.
        - weights float32 `(B,)`: the images' weights, scaled so that their mean over the set is 1.

        Train with `(weights * kl(log_softmax(student / T), targets)).mean()`, T = `soft_labels.temperature`.

        Args:
            batch_size: images per batch, any number: views do not depend on it. The last of an epoch may have fewer, or
                one more: a remainder of a single image, which BatchNorm could not take, joins the batch before.
            epochs: passes over the images; None = as many as are stored. Beyond that the stored ones repeat.
            device: where the batches should be.

        Raises:
            ArtifactError: the set has no soft labels, or they are damaged.
            ConfigError: `batch_size` or `epochs` is below 1.
        """
        if self.soft_labels is None or not self.soft_labels.epochs:
            raise ArtifactError(
                f"{self.method} set without soft labels; got no views to replay; train on .images and .labels instead"
            )
        count = len(self.soft_labels.epochs) if epochs is None else epochs
        if batch_size < 1 or count < 1:
            raise ConfigError(f"loader needs at least 1 image and 1 epoch; got {batch_size} and {count}; raise them")
        return Loader(
            source=self, labels=self.soft_labels, batch_size=batch_size, epochs=count, device=torch.device(device)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Loader:
    """Training batches of a distilled set; see `PortableSet.loader`."""

    source: PortableSet
    labels: SoftLabels
    batch_size: int
    epochs: int
    device: torch.device

    def __len__(self) -> int:
        return self.epochs * len(batch_spans(len(self.source.labels), self.batch_size))

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        stored = self.labels.epochs
        for number in range(self.epochs):
            epoch = stored[number % len(stored)]
            for span in batch_spans(len(epoch.views), self.batch_size):
                yield self._batch(epoch.rows(span.start, span.stop))

    def _batch(self, rows: EpochLabels) -> tuple[Tensor, Tensor, Tensor]:
        images = view_inputs(self.source, rows.views, self.device)
        weights = self.source.relative_weights[rows.views.index]
        return images, self._targets(rows).to(self.device), weights.to(self.device)

    def _targets(self, rows: EpochLabels) -> Tensor:
        temperature = self.labels.temperature
        if rows.logits is not None:
            return torch.softmax(soft_targets(rows, self.labels.num_classes) / temperature, dim=1)
        views = rows.views
        own, other = (torch.softmax(self.labels.plain[i] / temperature, dim=1) for i in (views.index, views.partner))
        return torch.lerp(own, other, cutmix_share(views, self.source.image_size)[:, None])


def load(path: str | Path) -> PortableSet:
    """Read a distilled set from its folder, or from the folder of the run that made it.

    Raises:
        ArtifactError: the folder is missing, not a distilled set, of a newer version, or damaged.
    """
    folder = _find(Path(path))
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text("utf-8"))
    if manifest.get("schema", 0) > SCHEMA:
        raise ArtifactError(
            f"{folder}: written by a newer wmdd; got layout {manifest['schema']}, known up to {SCHEMA}; upgrade wmdd"
        )
    try:
        return _read(folder, manifest)
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(folder / MANIFEST, f"{type(error).__name__}: {error}") from error


def _find(path: Path) -> Path:
    """Return the folder itself or its `distilled/`, whichever holds a distilled set."""
    for folder in (path, path / "distilled"):
        if is_product(folder):
            return folder
    found = "a folder without one" if path.is_dir() else "a file" if path.exists() else "nothing there"
    raise ArtifactError(f"{path}: not a distilled set; got {found}; give a run's folder or its distilled/")


def is_product(folder: Path) -> bool:
    """Tell whether a folder holds a distilled set, intact or damaged."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(manifest, dict) and manifest.get("format") == FORMAT


def exact_tensors(distilled: DistilledSet) -> dict[str, Tensor]:
    """Return by field name what 8-bit images and classes cannot hold; empty for most methods."""
    fields = {name: getattr(distilled, name) for name in ("exact", "targets", "rates")}
    return {name: value.contiguous() for name, value in fields.items() if value is not None}


def _read(folder: Path, manifest: Mapping[str, Any]) -> PortableSet:
    files = [CheckedFile(folder=folder, **entry) for entry in manifest["files"]]
    for file in files:
        file.check_size()
        if not file.path.startswith("fkd/"):
            file.check()
    table = pq.read_table([file.full_path for file in files if file.path.startswith("data/")])
    exact = next((safetensors.torch.load_file(file.full_path) for file in files if file.path == EXACT), {})
    plain = column_tensor(table, "soft_label") if "soft_label" in table.column_names else None
    return PortableSet(
        method=manifest["method"],
        images=_pixels(table.column("image")),
        labels=column_tensor(table, "label"),
        weights=column_tensor(table, "weight"),
        classes=tuple(manifest["classes"]),
        mean=tuple(manifest["mean"]),
        std=tuple(manifest["std"]),
        **exact,
        soft_labels=_soft_labels(manifest, plain, [file for file in files if file.path.startswith("fkd/")]),
        folder=folder,
    )


def _pixels(column: pa.ChunkedArray) -> Tensor:

    def picture(row: int) -> Tensor:
        return decode_png(column[row].as_py()["bytes"])

    images = torch.empty(len(column), *picture(0).shape, dtype=torch.uint8)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda row: images[row].copy_(picture(row)), range(len(column))))
    return images


def _soft_labels(manifest: Mapping[str, Any], plain: Tensor | None, files: list[CheckedFile]) -> SoftLabels | None:
    if plain is None:
        return None
    return SoftLabels(
        store=manifest["store"],
        batch=manifest["batch"],
        temperature=manifest["temperature"],
        num_classes=len(manifest["classes"]),
        epochs=_stored_epochs(files),
        plain=plain,
        num_bytes=sum(file.size for file in files),
    )


def _stored_epochs(files: Sequence[CheckedFile]) -> LazyEpochs:
    stops = list(accumulate(file.epochs for file in files))

    def read(number: int) -> EpochLabels:
        file, stop = next((f, stop) for f, stop in zip(files, stops, strict=True) if number < stop)
        file.check()
        with pq.ParquetFile(file.full_path) as parquet:
            return epoch_from_table(parquet.read_row_group(number - (stop - file.epochs)))

    return LazyEpochs(stops[-1] if stops else 0, read)
