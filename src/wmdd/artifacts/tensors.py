"""Tensors as safetensors files: written as a stream, read whole or as a map, or mapped and filled in place."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from wmdd.artifacts.files import replacing, writing
from wmdd.artifacts.sums import UNSEALED, damaged, seal_place
from wmdd.mapped import byte_blocks, map_file, reserve, scratch

_NAMES = {
    torch.int64: "I64",
    torch.float64: "F64",
    torch.float32: "F32",
    torch.int32: "I32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""Types of tensors as safetensors calls them, in the order in which it writes them: the widest first, so that all lie
at multiples of their width."""
_TYPES = {name: dtype for dtype, name in _NAMES.items()}


def write_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors, and small facts that JSON can hold, as one sealed file.

    They go out a block at a time: beside them, and a tensor that has to come from a GPU, no memory is needed.
    """
    order = list(_NAMES)
    ordered = sorted(tensors, key=lambda name: (order.index(tensors[name].dtype), name))
    prefix = _prefix([(name, tensors[name].dtype, tensors[name].shape) for name in ordered], facts)
    digest = hashlib.sha256(prefix)
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(prefix)
        for name in ordered:
            for block in byte_blocks(tensors[name].detach().cpu()):
                file.write(block)
                digest.update(block)
        file.seek(seal_place(prefix).start)
        file.write(digest.hexdigest().encode())


def _prefix(tensors: Sequence[tuple[str, torch.dtype, Sequence[int]]], facts: Mapping[str, Any]) -> bytes:
    """Return what a sealed file begins with, for tensors of these names, types and shapes in order."""
    header: dict[str, Any] = {"__metadata__": {"facts": json.dumps({**UNSEALED, **facts})}}
    start = 0
    for name, dtype, shape in tensors:
        stop = start + prod(shape) * dtype.itemsize
        header[name] = {"dtype": _NAMES[dtype], "shape": list(shape), "data_offsets": [start, stop]}
        start = stop
    return _framed(json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode())


def _framed(header: bytes) -> bytes:
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header


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


def map_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors that `write_tensors` wrote, mapped: their pages can be given back (`wmdd.mapped`).

    They are not to be written to.

    Raises:
        ArtifactError: the file is missing or damaged.
    """
    try:
        with safe_open(str(path), framework="pt"):  # compares the header with the file
            pass
        with path.open("rb") as file:
            whole = map_file(file, shared=False)
        begin = 8 + int.from_bytes(bytes(whole[:8].tolist()), "little")
        header = json.loads(whole[8:begin].numpy().tobytes())
        header.pop("__metadata__", None)
        return {name: _part(whole[begin:], **entry) for name, entry in header.items()}
    except Exception as error:
        raise damaged(path, f"no tensors ({type(error).__name__})") from error


def _part(data: Tensor, dtype: str, shape: Sequence[int], data_offsets: tuple[int, int]) -> Tensor:
    start, stop = data_offsets
    kind, part = _TYPES[dtype], data[start:stop]
    if not len(part):
        return torch.empty(tuple(shape), dtype=kind)
    if part.storage_offset() % kind.itemsize:  # another program's file
        part = part.clone()
    return part.view(kind).view(tuple(shape))


def mapped_tensor(path: Path, name: str, shape: tuple[int, ...], *, make: bool = True) -> Tensor:
    """Return a float32 tensor that shares its memory with the safetensors file `path`, which is created if missing.

    What is written into the tensor is on disk, and reading takes no more memory than the rows that are read. Without
    `make` it is only read.

    Raises:
        ArtifactError: there is no room for it; or without `make`, it is missing or of another size.
    """
    count = 4 * prod(shape)
    prefix = _framed(json.dumps({name: {"dtype": "F32", "shape": list(shape), "data_offsets": [0, count]}}).encode())
    size = len(prefix) + count
    if not _begins(path, prefix, size):
        if not make:
            raise damaged(path, f"no float32 tensor {name!r} of {' x '.join(map(str, shape))}")
        with replacing(path) as temporary, temporary.open("wb") as file:
            file.write(prefix)
            file.flush()
            reserve(file, size)
    with path.open("r+b" if make else "rb") as file:
        whole = map_file(file, shared=make)
    return whole[len(prefix) :].view(torch.float32).view(shape)


def scratch_tensor(shape: Sequence[int], dtype: torch.dtype, folder: Path | None = None) -> Tensor:
    """Return zeros in a file without a name, in `folder` or where the system keeps temporary files (`mapped.scratch`).

    Raises:
        ArtifactError: there is no room for it.
    """
    if folder is not None:
        with writing(folder):
            return scratch(shape, dtype, folder)
    with writing(Path(gettempdir()), advice="make room there, or set TMPDIR to a folder that has more"):
        return scratch(shape, dtype)


def digest_of(tensor: Tensor) -> str:
    """Return the SHA-256 of the values of a tensor on the CPU."""
    return hashlib.sha256(tensor.contiguous().view(-1).numpy().data).hexdigest()


def _begins(path: Path, prefix: bytes, size: int) -> bool:
    """Tell whether there is a file of `size` bytes that begins with `prefix`."""
    if not path.is_file() or path.stat().st_size != size:
        return False
    with path.open("rb") as file:
        return file.read(len(prefix)) == prefix
