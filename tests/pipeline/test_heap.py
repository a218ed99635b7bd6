"""What is freed stays with the process inside the `with`, and goes back to the system after it."""

import ctypes
import resource

import pytest
import torch

from wmdd.pipeline import heap as module
from wmdd.pipeline.heap import heap_kept, trim_heap
from wmdd.pipeline.memory import forget_peak, peak_memory

BLOCK, BLOCKS = 3 << 23, 6
"""Bytes of a block, below those that are no part of the heap; and blocks at once, more than glibc keeps by itself."""
ROUNDS = 6
SIZE = BLOCK * BLOCKS
PAGES = SIZE // resource.getpagesize()
glibc = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="only glibc keeps its heap")


def faults() -> int:
    """Return how many pages this process asks the system for in work that it has done before."""
    counts: list[int] = []
    for _ in range(ROUNDS):
        counts.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
        blocks = [torch.ones(BLOCK, dtype=torch.uint8) for _ in range(BLOCKS)]
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - counts[-1]


def resident() -> int:
    forget_peak(torch.device("cpu"))
    return peak_memory(torch.device("cpu"))


@glibc
def test_pages_are_asked_for_once_and_given_back() -> None:
    with heap_kept():
        assert faults() < PAGES / 10
        kept = resident()
    assert kept - resident() > 0.9 * SIZE


def interrupted() -> None:
    with heap_kept():
        faults()
        raise KeyboardInterrupt


@glibc
def test_an_error_gives_it_back_too() -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    before = resident()
    trim_heap()
    assert before - resident() < 0.1 * SIZE


def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def without(_: object) -> object:
        return object()

    monkeypatch.setattr(module.ctypes, "CDLL", without)
    with heap_kept():
        pass

    def no_handle(_: object) -> object:
        raise TypeError("bad argument type for built-in operation")

    monkeypatch.setattr(module.ctypes, "CDLL", no_handle)
    with heap_kept():
        pass
