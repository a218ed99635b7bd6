"""All workers of a command: whom each waits for, and the process group in which they train together."""

import atexit
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist

from wmdd.context import Team
from wmdd.errors import ArtifactError, ConfigError, WmddError
from wmdd.pipeline.workers import Worker
from wmdd.training.data_parallel import ProcessTeam

PATIENCE = timedelta(hours=6)
"""How long workers wait for one, such as for the first while it fetches data, before they give it up."""
Value = TypeVar("Value")


def team_of(worker: Worker) -> Team:
    """Return the team of all workers, which is there until the process ends."""
    if worker.alone:
        return Team()
    if not dist.is_initialized():
        with lost_workers():
            dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=PATIENCE)
        atexit.register(dist.destroy_process_group)
    return ProcessTeam()


def first_goes_first(worker: Worker, work: Callable[[], Value]) -> Value:
    """Return `work()`, which other workers begin when the first has done its own: it may fetch or convert data.

    Raises:
        WmddError: the work failed, here or with the first worker.
    """
    team = team_of(worker)
    if not worker.first:
        with lost_workers():
            reason = team.agree("")
        if reason:
            raise ConfigError(reason)
        return work()
    try:
        value = work()
    except WmddError as error:
        team.agree(str(error))
        raise
    team.agree("")
    return value


@contextmanager
def lost_workers() -> Generator[None]:
    """Turn the error that another worker is gone into one line.

    Raises:
        ArtifactError: a worker is gone.
    """
    try:
        yield
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        if not isinstance(error, dist.DistError) and "gloo" not in reason and "NCCL" not in reason:
            raise
        raise ArtifactError(
            f"another worker is gone; got {reason[:200]}; run the same command again, or let `torchrun --max-restarts` "
            "do so"
        ) from error
