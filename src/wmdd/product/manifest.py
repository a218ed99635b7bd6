"""The manifest of a distilled set: what the set is, and the size and SHA-256 of every file, itself included.

Free of torch: the report reads products too.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from wmdd.artifacts.parsing import read_as
from wmdd.artifacts.sums import sum_of
from wmdd.drawn import DrawnViews
from wmdd.errors import ArtifactError
from wmdd.product.checked import ADVICE, CheckedFile, Flaw, reading
from wmdd.settings import TangentKernel

MANIFEST = "manifest.json"
FORMAT = "wmdd-distilled"
EXACT = "exact.safetensors"
"""File with the set's `exact`, `targets`, `rates` and `whitening`, where it has them."""
SHARD = ".safetensors"
"""Suffix of files of compact soft labels, one for each epoch; those of full ones are Parquet."""
SCHEMA = 3
"""Version of the folder's layout; newer ones are refused. Since 2, the manifest has a checksum of itself; since 3, an
epoch of full labels may have several row groups."""
_CHECKSUM = "sha256"
_LARGEST_SIDE = 8192
"""Larger images would be refused by Pillow, as decompression bombs."""

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """A file of the set, as the manifest has it."""

    path: str
    """Relative to the folder, with forward slashes."""
    size: NonNegativeInt
    sha256: str
    epochs: NonNegativeInt = 0
    """Of a file of soft labels: number of epochs, each of whole row groups; before layout 3, of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The facts of a distilled set that are not in its tables."""

    method: str
    ipc: PositiveInt
    image_size: Annotated[int, Field(ge=1, le=_LARGEST_SIDE)]
    channels: Annotated[int, Field(ge=1, le=4)]
    classes: Annotated[tuple[str, ...], Field(min_length=1)]
    mean: tuple[Finite, ...]
    std: tuple[Positive, ...]
    files: tuple[FileEntry, ...]
    store: Literal["full", "topk", "online"] | None = None
    """How soft labels are stored; None = the set has none, and no batch and temperature either."""
    batch: PositiveInt | None = None
    temperature: Positive | None = None
    num_epochs: NonNegativeInt = 0
    drawn: DrawnViews | None = None
    """How the views were drawn, and from which seed they can be drawn again."""
    redrawn: bool = False
    """Whether no view is stored."""
    pooled: bool = False
    """Whether students have more epochs than are stored."""
    kernel: TangentKernel = "fc"
    """See `DistilledSet.kernel`."""

    @property
    def has_files(self) -> bool:
        """Whether anything of an epoch is stored, see `SoftLabels.has_files`."""
        return not (self.redrawn and self.store == "online")

    @property
    def count(self) -> int:
        """M, the number of images."""
        return self.ipc * len(self.classes)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        return self.channels, self.image_size, self.image_size


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """The folder of a distilled set whose files are all there, in the sizes that its manifest names."""

    folder: Path
    manifest: Manifest
    files: tuple[CheckedFile, ...]

    @property
    def images(self) -> tuple[CheckedFile, ...]:
        """Files of images, labels and weights, in order."""
        return tuple(file for file in self.files if file.path.startswith("data/"))

    @property
    def epochs(self) -> tuple[CheckedFile, ...]:
        """Files of soft labels, in order."""
        return tuple(file for file in self.files if file.path.startswith("fkd/"))


def open_product(path: Path) -> Product:
    """Return the distilled set in a folder, or in the `distilled/` of a run's folder; file contents are not yet read.

    Raises:
        ArtifactError: there is none, or it is of a newer version, or its manifest is damaged or disagrees with the
            files.
    """
    folder, raw = _find(path)
    schema = raw.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        raise ArtifactError(
            f"{folder}: written by a newer wmdd; got layout {schema}, known up to {SCHEMA}; upgrade wmdd"
        )
    with reading(folder / MANIFEST):
        _check_content(raw)
    manifest = read_as(Manifest, folder / MANIFEST, advice=ADVICE)
    with reading(folder / MANIFEST):
        _check_agreement(manifest)
    files = tuple(CheckedFile(folder=folder, **asdict(entry)) for entry in manifest.files)
    for file in files:
        file.check_size()
    return Product(folder=folder, manifest=manifest, files=files)


def write_manifest(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write the manifest of a set with the fields of `Manifest`, its version and its checksum."""
    content = {"format": FORMAT, "schema": SCHEMA, **facts}
    content[_CHECKSUM] = _checksum(content)
    (folder / MANIFEST).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")


def file_entry(folder: Path, path: Path, **facts: int) -> dict[str, Any]:
    """Return a file's entry in the manifest. The card has none, because people improve cards."""
    return {"path": path.relative_to(folder).as_posix(), **asdict(sum_of(path)), **facts}


def is_product(folder: Path) -> bool:
    """Tell whether a folder holds a distilled set, intact or damaged."""
    try:
        return f'"{FORMAT}"'.encode() in (folder / MANIFEST).read_bytes()
    except OSError:
        return False


def _find(path: Path) -> tuple[Path, dict[str, Any]]:
    """Return the folder itself or its `distilled/`, whichever holds a distilled set, and what its manifest says."""
    for folder in (path, path / "distilled"):
        with reading(folder):
            there = (folder / MANIFEST).is_file()
        if there:
            raw = read_as(dict[str, Any], folder / MANIFEST, advice=ADVICE)
            if raw.get("format") == FORMAT:
                return folder, raw
    found = "a folder without one" if path.is_dir() else "a file" if path.exists() else "nothing there"
    raise ArtifactError(f"{path}: not a distilled set; got {found}; give a run's folder or its distilled/")


def _check_content(raw: Mapping[str, Any]) -> None:
    """Check the manifest's own checksum; the first layout had none."""
    first_layout = raw.get("schema") is not True and raw.get("schema") == 1
    if not first_layout and raw.get(_CHECKSUM) != _checksum(raw):
        raise Flaw("content that its own checksum does not fit")


def _checksum(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the content without its checksum, however it is laid out."""
    counted = {name: value for name, value in content.items() if name != _CHECKSUM}
    return hashlib.sha256(json.dumps(counted, sort_keys=True).encode()).hexdigest()


def _check_agreement(manifest: Manifest) -> None:
    for name in ("mean", "std"):
        if len(getattr(manifest, name)) != manifest.channels:
            raise Flaw(f"{name} of {len(getattr(manifest, name))} channels, not {manifest.channels}")
    stored = sum(entry.epochs for entry in manifest.files)
    if stored != (manifest.num_epochs if manifest.has_files else 0):
        raise Flaw(f"files with {stored} epochs, not {manifest.num_epochs}")
    if any((manifest.store is None) != (value is None) for value in (manifest.batch, manifest.temperature)):
        raise Flaw("soft labels without store, batch or temperature")
    drawn = manifest.drawn
    if manifest.redrawn and (drawn is None or drawn.seed is None or drawn.side != manifest.image_size):
        raise Flaw("views that are neither stored nor drawn from a seed")
