"""Writing files so that they are there as a whole or not at all, and tensors as safetensors."""

import json
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save as tensor_bytes
from torch import Tensor

from wmdd.errors import ArtifactError


@contextmanager
def writing(path: Path) -> Generator[None]:
    """Turn what the system says against writing at `path` (disk full, no permission, in the way) into one line.

    Raises:
        ArtifactError: something of that kind happened.
    """
    try:
        yield
    except ArtifactError:
        raise
    except OSError as error:
        raise ArtifactError(
            f"cannot write {path}; got {error.strerror or type(error).__name__}; "
            "make room or choose another --out and --store, then run again"
        ) from error


def make_folder(path: Path) -> None:
    """Make a folder and those above it, unless they are there.

    Raises:
        ArtifactError: it cannot be made.
    """
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)


def append_text(path: Path, text: str) -> None:
    """Add `text` to a file; a kill may tear it.

    Raises:
        ArtifactError: the disk is full or cannot be written.
    """
    with writing(path), path.open("a", encoding="utf-8") as file:
        file.write(text)


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` in one step: to a neighbour first, then renamed.

    Whole after a kill; to outlive a power cut too, see `fsync_folder`.

    Raises:
        ArtifactError: the disk is full or cannot be written; what stood at `path` is untouched.
    """
    with _replacing(path) as temporary, temporary.open("wb") as file:
        file.write(data)


def fsync_folder(folder: Path) -> None:
    """Wait until the files of a folder are on the disk itself.

    Raises:
        ArtifactError: they do not fit there after all.
    """
    with writing(folder):
        for path in sorted(folder.iterdir()):
            if path.is_file():
                with path.open("rb") as file:
                    os.fsync(file.fileno())


def write_json(path: Path, value: Any) -> None:
    """Write `value` as readable JSON."""
    write_bytes(path, (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        ArtifactError: it is missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"cannot read {path}; got {type(error).__name__}; remove its folder and run again"
        ) from error


def write_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors and small facts as one safetensors file."""
    ready = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    write_bytes(path, tensor_bytes(ready, metadata={"facts": json.dumps(facts)}))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `write_tensors` wrote.

    Raises:
        ArtifactError: the file is missing or damaged.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get("facts", "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118 - not a dict
    except Exception as error:
        raise ArtifactError(f"cannot read {path}; got {type(error).__name__}; remove it and run again") from error


def mapped_tensor(path: Path, name: str, shape: tuple[int, ...], *, make: bool = True) -> Tensor:
    """Return a float32 tensor whose rows live in the safetensors file `path`, which is made if it is not there.

    Its memory is the file's: what is written into it is on disk, and reading needs no more memory than is looked at.

    Raises:
        ArtifactError: it is missing or of another size and must not be made, or there is no room for it.
    """
    count = 4
    for length in shape:
        count *= length
    header = json.dumps({name: {"dtype": "F32", "shape": list(shape), "data_offsets": [0, count]}}).encode()
    header += b" " * (-len(header) % 8)
    prefix = len(header).to_bytes(8, "little") + header
    if not path.exists() or path.stat().st_size != len(prefix) + count:
        if not make:
            raise ArtifactError(f"cannot read {path}; got no file of {len(prefix) + count} bytes; remove its folder")
        _reserve(path, prefix, count)
    whole = torch.from_file(str(path), shared=True, size=(len(prefix) + count) // 4, dtype=torch.float32)
    return whole[len(prefix) // 4 :].view(shape)


def _reserve(path: Path, prefix: bytes, count: int) -> None:
    """Make a file of `prefix` and `count` zeros; its blocks are taken now: a full disk would kill the process later."""
    with _replacing(path) as temporary, temporary.open("wb") as file:
        file.write(prefix)
        file.truncate(len(prefix) + count)
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, len(prefix) + count)


@contextmanager
def _replacing(path: Path) -> Generator[Path]:
    """Give the name of a neighbour to write to, then rename it to `path`; after a failure nothing of it is left."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with writing(path):
        try:
            yield temporary
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
