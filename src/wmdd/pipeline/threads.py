"""The threads of a run: as many as its processors, fewer where other processes keep some of these busy."""

import os
from collections.abc import Generator
from contextlib import contextmanager

import torch

from wmdd.pipeline.watchers import Watcher
from wmdd.pipeline.workers import this_worker
from wmdd.processors import processors, taken_by_others


@contextmanager
def threads_of(wanted: int | str, watcher: Watcher) -> Generator[None]:
    """Let torch compute in the threads that `choose_threads` finds inside the `with`; fewer than it has are announced.

    Threads meet at a barrier after every operation, so that one whose processor is taken by another process makes all
    wait: on a busy machine two threads can be fifty times slower than one (docs/lab-book.md, 2026-11-30).

    One of several workers keeps the threads that its launcher gave it, unless a number is wanted.
    """
    before = torch.get_num_threads()
    given = not isinstance(wanted, int) and not this_worker().alone
    chosen, reason = (before, "") if given else choose_threads(wanted, before)
    if reason:
        word = "thread" if chosen == 1 else "threads"
        watcher.note(f"Computing in {chosen} {word} of {before}: {reason}. `--threads N` decides otherwise.")
    torch.set_num_threads(chosen)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def choose_threads(wanted: int | str, most: int) -> tuple[int, str]:
    """Return the number of threads, and why it is less than `most`, torch's own, if it was chosen here.

    `auto` never takes more than `most`, so that `OMP_NUM_THREADS` and `torch.set_num_threads` keep their meaning.
    """
    if isinstance(wanted, int):
        return wanted, ""
    if most == 1:
        return 1, ""
    allowed = min(most, processors())
    others = taken_by_others()
    free = round((os.cpu_count() or 1) - others)
    if free < allowed:
        return max(1, free), f"other processes keep {others:.1f} of {os.cpu_count()} processors busy"
    return allowed, f"its quota is {allowed} of {os.cpu_count()} processors" if allowed < most else ""
