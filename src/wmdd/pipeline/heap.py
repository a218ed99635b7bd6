"""The C library's heap on Linux: what a step frees stays with the process, which needs as much again in the next step.

By itself glibc gives the end of the heap back to the system as soon as it is free; in the next step the kernel hands
out the same pages again, zeroed, one fault for each 4 kB. On a CPU that can take as long as a forward pass
(docs/lab-book.md, 2026-11-30). The heap never was smaller at its peak, so a stage needs no more memory than before.
"""

import ctypes
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

_TRIM, _MAP = -1, -3
"""`M_TRIM_THRESHOLD` and `M_MMAP_THRESHOLD` of malloc.h."""
_NEVER = -1
_USUAL_TRIM, _USUAL_MAP = 1 << 26, 1 << 25
"""Bytes up to which glibc's own thresholds rise as large blocks are freed. Blocks above the second are not of the heap:
kept there, they would leave holes that grow from step to step."""


@contextmanager
def heap_kept() -> Generator[None]:
    """Keep what is freed inside the `with`, blocks above 32 MB excepted; give it to the system after.

    Nothing happens where the C library has no such thresholds: outside Linux, and on Linux without glibc.
    """
    _set_thresholds(_NEVER)
    try:
        yield
    finally:
        _set_thresholds(_USUAL_TRIM)
        trim_heap()


def trim_heap() -> None:
    """Give what is free to the system now, so that a stage does not carry the memory of the one before."""
    give = _function("malloc_trim")
    if give is not None:
        give(0)


def _set_thresholds(trim: int) -> None:
    choose = _function("mallopt")
    if choose is not None:
        choose(_TRIM, trim)
        choose(_MAP, _USUAL_MAP)


def _function(name: str) -> Callable[..., Any] | None:
    """Return a function of the C library, if it has it."""
    try:
        return getattr(ctypes.CDLL(None), name, None)
    except (OSError, TypeError):  # Windows knows no library without a name
        return None
