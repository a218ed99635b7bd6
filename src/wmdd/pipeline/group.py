"""All workers of a command: whom each waits for, and the process group in which they train together."""

import atexit
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar
from uuid import uuid4

import torch
import torch.distributed as dist
from torch.distributed import PrefixStore, Store, rendezvous  # pyright: ignore[reportPrivateImportUsage]

from wmdd.context import Team
from wmdd.errors import ArtifactError, ConfigError, WmddError
from wmdd.pipeline.shared_context import PAUSE
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
            store, *_ = next(iter(rendezvous("env://", timeout=PATIENCE)))
            dist.init_process_group(
                "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
                store=of_this_attempt(store, worker),
                rank=worker.rank,
                world_size=worker.size,
                timeout=PATIENCE,
            )
        atexit.register(dist.destroy_process_group)
    return ProcessTeam()


def of_this_attempt(store: Store, worker: Worker) -> Store:
    """Return the part of the launcher's store that only the workers of this attempt write.

    `torchrun` keeps its store when it starts workers again, with the addresses of those that are gone, and counts its
    attempts on each machine apart. So the first worker names the attempt, and answers whoever knocks until all know.
    """
    own = uuid4().hex
    if not worker.first:
        store.set(f"knock of {worker.rank}", own)
        attempt = store.get(f"answer to {own}").decode()
        store.set(f"{attempt} known to {worker.rank}", "yes")
        return PrefixStore(attempt, store)
    missing = set(range(1, worker.size))
    while missing:
        for knock in [f"knock of {rank}" for rank in missing]:
            if store.check([knock]):
                store.set(f"answer to {store.get(knock).decode()}", own)
        time.sleep(PAUSE)
        missing = {rank for rank in missing if not store.check([f"{own} known to {rank}"])}
    return PrefixStore(own, store)


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
