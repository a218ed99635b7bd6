"""Tensors as safetensors files: read and written whole, or mapped into memory and filled in place."""

import hashlib
import json
import os
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save as tensor_bytes
from torch import Tensor

from wmdd.artifacts.files import replacing, write_bytes
from wmdd.artifacts.sums import UNSEALED, damaged, sealed


def write_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors, and small facts that JSON can hold, as one sealed file."""
    ready = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    data = tensor_bytes(ready, metadata={"facts": json.dumps({**UNSEALED, **facts})})
    write_bytes(path, sealed(data))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the tensors and facts that `write_tensors` wrote; `sums` tells whether they are those that were written.

    Raises:
        ArtifactError: the file is missing or damaged.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get("facts", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except Exception as error:
        raise damaged(path, f"no tensors ({type(error).__name__})") from error
    return tensors, {name: value for name, value in facts.items() if name not in UNSEALED}


def mapped_tensor(path: Path, name: str, shape: tuple[int, ...], *, make: bool = True) -> Tensor:
    """Return a float32 tensor that shares its memory with the safetensors file `path`, which is created if missing.

    What is written into the tensor is on disk, and reading takes no more memory than the rows that are read.

    Raises:
        ArtifactError: there is no room for it; or without `make`, it is missing or of another size.
    """
    count = 4 * prod(shape)
    header = json.dumps({name: {"dtype": "F32", "shape": list(shape), "data_offsets": [0, count]}}).encode()
    header += b" " * (-len(header) % 8)
    prefix = len(header).to_bytes(8, "little") + header
    size = len(prefix) + count
    if not _begins(path, prefix, size):
        if not make:
            raise damaged(path, f"no float32 tensor {name!r} of {' x '.join(map(str, shape))}")
        with replacing(path) as temporary, temporary.open("wb") as file:
            file.write(prefix)
            file.truncate(size)
            if hasattr(os, "posix_fallocate"):  # takes the blocks now: a full disk would kill the process later
                os.posix_fallocate(file.fileno(), 0, size)
    whole = torch.from_file(str(path), shared=True, size=size // 4, dtype=torch.float32)
    return whole[len(prefix) // 4 :].view(shape)


def digest_of(tensor: Tensor) -> str:
    """Return the SHA-256 of the values of a tensor on the CPU."""
    return hashlib.sha256(tensor.contiguous().view(-1).numpy().data).hexdigest()


def _begins(path: Path, prefix: bytes, size: int) -> bool:
    """Tell whether there is a file of `size` bytes that begins with `prefix`."""
    if not path.is_file() or path.stat().st_size != size:
        return False
    with path.open("rb") as file:
        return file.read(len(prefix)) == prefix
