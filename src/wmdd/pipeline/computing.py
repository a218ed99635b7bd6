"""How a run computes in its process: its heap and its threads."""

from collections.abc import Generator
from contextlib import contextmanager

from wmdd.pipeline.heap import heap_kept
from wmdd.pipeline.threads import threads_of
from wmdd.pipeline.watchers import Watcher


@contextmanager
def computing(threads: int | str, watcher: Watcher) -> Generator[None]:
    """Keep the heap from step to step and take the threads that are wanted, inside the `with`."""
    with heap_kept(), threads_of(threads, watcher):
        yield
