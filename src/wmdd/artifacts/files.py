"""Writing files so that they are there as a whole or not at all, and tensors as safetensors."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save as tensor_bytes
from torch import Tensor

from wmdd.errors import ArtifactError


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` in one step: to a neighbour first, then renamed.

    Raises:
        ArtifactError: the disk is full or cannot be written; what stood at `path` is untouched.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ArtifactError(
            f"cannot write {path}; got {error.strerror}; make room or choose another --out and --store, then run again"
        ) from error


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


def mapped_tensor(path: Path, name: str, shape: tuple[int, ...]) -> Tensor:
    """Return a float32 tensor whose rows live in the safetensors file `path`, which is made if it is not there.

    Its memory is the file's: what is written into it is on disk, and reading needs no more memory than is looked at.
    """
    count = 4
    for length in shape:
        count *= length
    header = json.dumps({name: {"dtype": "F32", "shape": list(shape), "data_offsets": [0, count]}}).encode()
    header += b" " * (-len(header) % 8)
    prefix = len(header).to_bytes(8, "little") + header
    if not path.exists() or path.stat().st_size != len(prefix) + count:
        temporary = path.with_name(path.name + ".tmp")
        with temporary.open("wb") as file:
            file.write(prefix)
            file.truncate(len(prefix) + count)
        temporary.replace(path)
    whole = torch.from_file(str(path), shared=True, size=(len(prefix) + count) // 4, dtype=torch.float32)
    return whole[len(prefix) // 4 :].view(shape)
