"""How many bytes a computation holds at once: tensors by their storage, and what NumPy and Python allocate.

Independent of the machine and of its load, unlike resident memory. Tensors in mapped files do not count: their pages
are given back (`tests/test_mapped.py`), and `tests/benchmarks/test_memory.py` has the resident memory of whole stages.
"""

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from wmdd.mapped import give_back


class LiveStorages(TorchDispatchMode):
    """Follows every storage that an operation makes until it is freed; `peak` is the largest sum of their bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._live: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        found = func(*args, **(kwargs or {}))
        self._live = {key: entry for key, entry in self._live.items() if not entry[0].expired()}
        for value in tree_leaves(found):
            if isinstance(value, Tensor) and not give_back(value):
                storage = value.untyped_storage()
                self._live[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
        self.peak = max(self.peak, sum(size for _, size in self._live.values()))
        return found


def held_bytes(work: Callable[[], object]) -> int:
    """Return the most bytes that `work` holds at a time beside what was there before it."""
    gc.collect()
    tracemalloc.start()
    try:
        with LiveStorages() as storages:
            work()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return storages.peak + peak
