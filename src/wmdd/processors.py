"""Processors: how many this process may use, and how many others are using."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUPS = Path("/proc/self/cgroup")
_STATE = Path("/proc/stat")
_LOOKS, _PAUSE = 20, 0.005


def processors() -> int:
    """Return how many processors this process may use: by its affinity, and by the quota of its control groups.

    A quota of 1.5 counts as 1: with two threads one would wait for the other.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    allowed = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, int(min([allowed, *_quotas()])))


def taken_by_others() -> float:
    """Return how many processors other processes keep busy now: the mean of a tenth of a second; 0 if it is unknown.

    From the kernel's count of those that run or wait to run, less this one, which looks.
    """
    running: list[int] = []
    for _ in range(_LOOKS):
        running += _running()
        time.sleep(_PAUSE)
    return max(0.0, sum(running) / len(running) - 1.0) if running else 0.0


def _running() -> list[int]:
    """Return the number of running or waiting threads on this machine; nothing where the kernel does not say."""
    lines = _text(_STATE).splitlines()
    return [int(line.split()[1]) for line in lines if line.startswith("procs_running ")]


def _quotas() -> Iterator[float]:
    """Yield the quotas, in processors, of this process's control groups (version 2 and 1) and of those above them."""
    for line in _text(_OWN_GROUPS).splitlines():
        _, controllers, place = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = _GROUPS / controllers if controllers else _GROUPS
        group = top / place.lstrip("/")
        for folder in (group, *(above for above in group.parents if above.is_relative_to(top))):
            if controllers:
                words = [_text(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")]
            else:
                words = _text(folder / "cpu.max").split()
            if len(words) == 2 and all(word.isdecimal() for word in words):  # "max" and "-1" are no quota
                yield int(words[0]) / int(words[1])


def _text(path: Path) -> str:
    """Return what a file of the kernel says; nothing where there is none."""
    try:
        return path.read_text()
    except OSError:
        return ""
