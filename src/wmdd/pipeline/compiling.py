"""Compiling ahead: the transport solver becomes machine code in a process of its own, while the teacher trains."""

import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from wmdd.ot.compiled import compiled_before
from wmdd.pipeline.plan import RunPlan
from wmdd.pipeline.workers import this_worker
from wmdd.processors import processors


def needs_compiling(plans: Sequence[RunPlan]) -> bool:
    """Return whether this is the first time on this machine that a run measures transport.

    Of several workers only the first asks for it.
    """
    if not this_worker().first:
        return False
    methods = [method for plan in plans for method in (plan.method, *(each.method for each in plan.references))]
    return any("statistics" in method.stages for method in methods) and not compiled_before()


@contextmanager
def compiling_ahead(*, needed: bool) -> Generator[None]:
    """Compile in another process during the `with`, if it is needed and there is a processor for it; then wait for it.

    The machine code is found where Numba caches it. Should the process fail, the run compiles for itself, as it does
    on a single processor. An error inside the `with` ends it.
    """
    if not needed or processors() == 1:
        yield
        return
    words = [sys.executable, "-m", "wmdd.ot.ahead"]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as it:
        try:
            yield
        except BaseException:
            it.kill()
            raise
