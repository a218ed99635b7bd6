"""Read a distilled set back from its folder, and train on it: pyarrow, Pillow and torch are enough.

Every file is checked against the manifest's SHA-256 before it is used: the images when the set is opened, each file of
soft labels when one of its epochs is first read. What the files say is then checked against the record that it becomes.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from wmdd.artifacts.tensors import scratch_tensor
from wmdd.context import stream
from wmdd.data.inputs import view_inputs
from wmdd.data.loading import batch_spans
from wmdd.data.replay import Replay
from wmdd.data.views import cutmix_share
from wmdd.data.whitening import whitened
from wmdd.errors import ArtifactError, ConfigError
from wmdd.mapped import Gathered, taken
from wmdd.product.checked import Flaw, reading
from wmdd.product.columns import require_rows
from wmdd.product.image_rows import read_pictures, read_rows
from wmdd.product.labels import soft_targets
from wmdd.product.manifest import EXACT, Manifest, Product, open_product
from wmdd.product.stored_epochs import stored_epochs
from wmdd.values import DistilledSet, EpochLabels, SoftLabels


@dataclass(frozen=True, slots=True, kw_only=True)
class PortableSet(DistilledSet):
    """A distilled set read from its folder, together with the teacher's soft labels."""

    soft_labels: SoftLabels | None = None
    """None if the set was stored without any; epochs are read from disk one at a time."""
    folder: Path | None = None
    """The folder that it was read from."""

    def __repr__(self) -> str:
        """Return what the set is in one line."""
        epochs = 0 if self.soft_labels is None else len(self.soft_labels.epochs)
        return f"{DistilledSet.__repr__(self)[:-1]}, soft labels of {epochs} epochs, folder={str(self.folder)!r})"

    def loader(
        self, batch_size: int = 50, epochs: int | None = None, *, device: str | torch.device = "cpu", seed: int = 0
    ) -> "Loader":
        """Return the training batches: an iterable of (images, targets, weights); `len()` is the number of batches.

        - images float32 `(B, ch, R, R)`: the stored views, replayed and normalised by the set's mean and std; whitened
          if the set has a `whitening`, which the images that you test on need too (`wmdd.data.whitening.whitened`).
        - targets float32 `(B, C)`: softmax(z / T) of the teacher's stored logits z for that view. If the set has no
          logits of views (`online`), the teacher's answers for the plain images, mixed by the CutMix box's share.
        - weights float32 `(B,)`: the images' weights, scaled so that their mean over the set is 1.

        Train with `(weights * kl(log_softmax(student / T), targets)).mean()`, T = `soft_labels.temperature`.

        Args:
            batch_size: images per batch, any number: views do not depend on it. The last of an epoch may have fewer, or
                one more: a remainder of a single image, which BatchNorm could not take, joins the batch before.
            epochs: passes over the images; None = as many as are stored. Beyond that the stored ones repeat; of sets
                with fewer than their students need (`soft_labels.pooled`), in a random order of batches.
            seed: of that order, see `wmdd.data.replay`.
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
            source=self,
            labels=self.soft_labels,
            batch_size=batch_size,
            epochs=count,
            device=torch.device(device),
            seed=seed,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Loader:
    """Training batches of a distilled set; see `PortableSet.loader`."""

    source: PortableSet
    labels: SoftLabels
    batch_size: int
    epochs: int
    device: torch.device
    seed: int = 0

    def __len__(self) -> int:
        return self.epochs * len(batch_spans(len(self.source.labels), self.batch_size))

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        replay = Replay(self.labels, self.batch_size, lambda turn: stream(self.seed, "loader", turn))
        whitening = None if self.source.whitening is None else self.source.whitening.to(self.device)
        for number in range(self.epochs):
            for rows in replay.batches(number):
                yield self._batch(rows, whitening)

    def _batch(self, rows: EpochLabels, whitening: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        images = whitened(view_inputs(self.source, rows.views, self.device), whitening)
        weights = self.source.relative_weights[rows.views.index]
        return images, self._targets(rows).to(self.device), weights.to(self.device)

    def _targets(self, rows: EpochLabels) -> Tensor:
        temperature = self.labels.temperature
        if rows.logits is not None:
            return torch.softmax(soft_targets(rows, self.labels.num_classes) / temperature, dim=1)
        views = rows.views
        own, other = (
            torch.softmax(taken(self.labels.plain, i) / temperature, dim=1) for i in (views.index, views.partner)
        )
        return torch.lerp(own, other, cutmix_share(views, self.source.image_size)[:, None])


def load(path: str | Path) -> PortableSet:
    """Read a distilled set from its folder, or from the folder of the run that made it.

    The decoded images and the logits of the plain ones lie in temporary files, which are gone when the set is.

    Raises:
        ArtifactError: the folder is missing, not a distilled set, of a newer version, or damaged: the line names file,
            column and row; or there is no room for temporary files.
    """
    product = open_product(Path(path))
    for file in product.files:
        if file not in product.epochs:
            file.check()
    manifest, room = product.manifest, Gathered(count=product.manifest.count, make=scratch_tensor)
    # Room is made when rows come: only then are the tables known to have as many as the manifest says.
    rows = read_rows(product, lambda start, logits: room.put(start, {"plain": torch.from_numpy(logits)}))
    return PortableSet(
        method=manifest.method,
        images=_pixels(product),
        labels=torch.from_numpy(rows.labels),
        weights=torch.from_numpy(rows.weights),
        classes=manifest.classes,
        mean=manifest.mean,
        std=manifest.std,
        kernel=manifest.kernel,
        **_exact(product),
        soft_labels=_soft_labels(product, room.tensors.get("plain")),
        folder=product.folder,
    )


def exact_tensors(distilled: DistilledSet) -> dict[str, Tensor]:
    """Return by field name what 8-bit images and classes cannot hold; empty for most methods."""
    fields = {name: getattr(distilled, name) for name in ("exact", "targets", "rates", "whitening")}
    return {name: value.contiguous() for name, value in fields.items() if value is not None}


def _pixels(product: Product) -> Tensor:
    room = Gathered(count=product.manifest.count, make=scratch_tensor)
    for position, pixels in read_pictures(product):
        room.put(position, {"images": torch.from_numpy(pixels)[None]})
    return room.tensors["images"]


def _exact(product: Product) -> dict[str, Tensor]:
    """Return the tensors of `exact.safetensors`, none if the set has no such file."""
    file = next((file for file in product.files if file.path == EXACT), None)
    if file is None:
        return {}
    with reading(file.full_path):
        tensors = safetensors.torch.load_file(file.full_path)
        _check_exact(tensors, product.manifest)
    return tensors


def _check_exact(tensors: Mapping[str, Tensor], manifest: Manifest) -> None:
    steps = tuple(tensors["rates"].shape) if "rates" in tensors else ()
    numbers = math.prod(manifest.shape)
    shapes = {
        "exact": (manifest.count, *manifest.shape),
        "targets": (manifest.count, len(manifest.classes)),
        "rates": steps if len(steps) == 1 and steps[0] > 0 else ("steps",),
        "whitening": (numbers + 1, numbers),
    }
    for name, values in tensors.items():
        if name not in shapes:
            raise Flaw(f"values called {name!r}, not one of {', '.join(shapes)}")
        if values.dtype != torch.float32 or tuple(values.shape) != shapes[name]:
            raise Flaw(f"{name} of {values.dtype} {tuple(values.shape)}, not torch.float32 {shapes[name]}")
        require_rows(values.isfinite().reshape(len(values), -1).all(1).numpy(), name, values.numpy(), "finite")


def _soft_labels(product: Product, plain: Tensor | None) -> SoftLabels | None:
    manifest = product.manifest
    if plain is None or manifest.store is None or manifest.batch is None or manifest.temperature is None:
        return None
    return SoftLabels(
        store=manifest.store,
        batch=manifest.batch,
        temperature=manifest.temperature,
        num_classes=len(manifest.classes),
        epochs=stored_epochs(product),
        plain=plain,
        num_bytes=sum(file.size for file in product.epochs),
        drawn=manifest.drawn,
        redrawn=manifest.redrawn,
        pooled=manifest.pooled,
    )


def folder_of(distilled: str | Path | DistilledSet) -> str | Path:
    """Return the folder that a set was read from, or a path as it is; raises `ConfigError` for a set in memory."""
    if not isinstance(distilled, DistilledSet):
        return distilled
    if isinstance(distilled, PortableSet) and distilled.folder is not None:
        return distilled.folder
    raise ConfigError("a set must be on disk; got one in memory; give the folder of its run")
