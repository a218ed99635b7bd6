"""Many classes at once, in threads: the solvers release the GIL, so threads use all cores of one process."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, partial
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

from wmdd.ot.free_support import barycenter
from wmdd.ot.problem import Barycenter, Measures
from wmdd.processors import processors

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 2
"""Items per thread that are taken before their results are fetched."""
_libraries = cache(ThreadpoolController)  # finding the libraries that have threads of their own takes milliseconds


def barycenters(
    classes: Iterable[Measures], num_atoms: int, *, threads: int | None = None, **settings: Any
) -> Iterator[Barycenter]:
    """Yield the `barycenter` of every class, in order, with K atoms each and the same `settings`.

    Classes, each `(n, D)` with an n of its own, are taken as they are needed and results are not kept, so memory does
    not grow with their number: pass slices of a memory-mapped file and save each result. The number of threads (None =
    one per processor) does not change the answer.
    """
    return in_threads(partial(barycenter, num_atoms=num_atoms, **settings), classes, threads)


def in_threads(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int | None = None
) -> Iterator[Result]:
    """Yield `function(item)` of all items, in order, computed in `threads` threads (None = one per processor).

    Meanwhile BLAS is limited to one thread: its own would compete with these, and the order of its sums would depend
    on their number.
    """
    count = threads or processors()
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
