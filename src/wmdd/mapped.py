"""Tensors whose memory is that of a file: their pages come when they are used, and can be given back.

Without giving back, a file that was read through stays in memory as a whole, however little of it is needed at a time.
What is written into a shared map is in the file; a private one must not be written to, for it would be forgotten.
"""

import mmap
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import BinaryIO
from weakref import WeakValueDictionary

import torch
from torch import Tensor

BLOCK = 1 << 20
"""Bytes that are taken at a time from what may be larger than memory."""
_MAPS: WeakValueDictionary[int, mmap.mmap] = WeakValueDictionary()
"""Address → the map that begins there, as long as a tensor has it."""


def map_file(file: BinaryIO, *, shared: bool) -> Tensor:
    """Return the bytes of an open file that is not empty, uint8 `(n,)`; the map outlives the file's being open.

    Args:
        file: to be read, and if `shared` written.
        shared: whether what is written into the tensor is to be in the file.
    """
    whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_WRITE if shared else mmap.ACCESS_COPY)
    values = torch.frombuffer(whole, dtype=torch.uint8)
    _MAPS[values.untyped_storage().data_ptr()] = whole
    return values


def scratch(shape: Sequence[int], dtype: torch.dtype, folder: Path | None = None) -> Tensor:
    """Return a tensor of zeros in a file without a name, which is gone when the tensor is.

    Args:
        shape: of the tensor.
        dtype: of the tensor.
        folder: where the file is to take its room; None = where the system keeps temporary files.

    Raises:
        OSError: there is no room.
    """
    size = prod(shape) * dtype.itemsize
    if not size:
        return torch.zeros(tuple(shape), dtype=dtype)
    with tempfile.TemporaryFile(dir=folder) as file:
        reserve(file, size)
        return map_file(file, shared=True).view(dtype).view(tuple(shape))


def reserve(file: BinaryIO, size: int) -> None:
    """Make an open file `size` bytes long; its blocks are taken now, for a full disk would kill the process later."""
    file.truncate(size)
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)


def give_back(values: Tensor) -> bool:
    """Give the pages of a mapped tensor back to the system, which reads them again when they are used.

    Returns:
        Whether the tensor is a mapped one; nothing happens to others.
    """
    whole = _MAPS.get(values.untyped_storage().data_ptr()) if values.device.type == "cpu" else None
    if whole is not None and hasattr(mmap, "MADV_DONTNEED"):
        whole.madvise(mmap.MADV_DONTNEED)
    return whole is not None


def taken(values: Tensor, rows: Tensor | slice) -> Tensor:
    """Return `values[rows]`; of a mapped tensor a copy, whose pages are given back, so that memory holds no more."""
    found = values[rows]
    if isinstance(rows, slice) and values.untyped_storage().data_ptr() in _MAPS:
        found = found.clone()
    give_back(values)
    return found


def row_blocks(values: Tensor, size: int = BLOCK) -> Iterator[slice]:
    """Yield slices of rows of about `size` bytes, at least one row each; pages of a mapped tensor are given back."""
    row = max(1, values[:1].numel() * values.element_size())
    step = max(1, size // row)
    for start in range(0, len(values), step):
        yield slice(start, min(start + step, len(values)))
        give_back(values)


def byte_blocks(values: Tensor) -> Iterator[memoryview]:
    """Yield the bytes of a tensor on the CPU, in C order, a block at a time; pages of a mapped one are given back."""
    flat = values.detach().contiguous().reshape(-1).view(torch.uint8)
    for rows in row_blocks(flat):
        yield flat[rows].numpy().data


Make = Callable[[Sequence[int], torch.dtype], Tensor]
"""Shape, type → a tensor to write into, in memory or in a file."""


def in_memory(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Return zeros in memory."""
    return torch.zeros(tuple(shape), dtype=dtype)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """Where the rows of a large result are put as they are made: named tensors of `count` rows."""

    count: int
    make: Make
    """Gives the room for a name; called when its first rows, which have shape and type, are put in."""
    tensors: dict[str, Tensor] = field(default_factory=dict[str, Tensor])

    def put(self, start: int, rows: Mapping[str, Tensor]) -> None:
        """Put in rows `(n, ...)` of every name, which are on the CPU, from row `start` on."""
        for name, values in rows.items():
            if name not in self.tensors:
                self.tensors[name] = self.make((self.count, *values.shape[1:]), values.dtype)
            self.tensors[name][start : start + len(values)] = values
            give_back(self.tensors[name])
