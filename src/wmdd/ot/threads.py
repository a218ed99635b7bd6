"""Many classes at once, in threads: the solvers release the GIL, so two cores do twice the work in one process."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, partial
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

from wmdd.ot.free_support import barycenter
from wmdd.ot.problem import Barycenter, Measures

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 2
"""Items per thread that are taken before their results are fetched."""


def barycenters(
    classes: Iterable[Measures], num_atoms: int, *, threads: int | None = None, **settings: Any
) -> Iterator[Barycenter]:
    """Yield the barycenter of every class, in order: what `barycenter` returns for it with the same settings.

    Classes are taken as they are needed and results are not kept, so memory does not grow with their number: hand in
    slices of a memory-mapped file and write away what comes out.

    Args:
        classes: each `(n, D)`; they may differ in n.
        num_atoms: K, the same for all.
        threads: one for each processor if None; their number does not change the answer.
        settings: of `barycenter`.
    """
    return in_threads(partial(barycenter, num_atoms=num_atoms, **settings), classes, threads)


def in_threads(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int | None = None
) -> Iterator[Result]:
    """Yield `function(item)` of all items, in order, computed in `threads` threads (one for each processor if None).

    Meanwhile BLAS is held to one thread: its own would fight with these, and sums come out the same whatever their
    number.
    """
    count = threads or os.cpu_count() or 1
    waiting: deque[Future[Result]] = deque()
    with _libraries().limit(limits=1, user_api="blas"), ThreadPoolExecutor(count) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > _AHEAD * count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


@cache
def _libraries() -> ThreadpoolController:
    """Return the hold on the libraries that have threads of their own; to find them takes milliseconds."""
    return ThreadpoolController()
