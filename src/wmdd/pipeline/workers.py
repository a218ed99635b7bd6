"""Which worker of several this process is, as PyTorch's launcher `torchrun` tells it. Free of torch."""

import os
from dataclasses import dataclass

from wmdd.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """One of the processes that carry out a command together; by default the only one."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    """Its number on its machine, which is that of its GPU."""

    @property
    def first(self) -> bool:
        """Whether it is the one that prints, and writes the files of the run."""
        return self.rank == 0

    @property
    def alone(self) -> bool:
        """Whether there is no other worker."""
        return self.size == 1


def this_worker() -> Worker:
    """Return which worker this process is: alone unless it was started by `torchrun`.

    Raises:
        ConfigError: the variables of the launcher make no sense.
    """
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    given = [os.environ.get(name, "") for name in names]
    if not given[0] or not given[1]:
        return Worker()
    try:
        rank, size, local_rank = (int(value or 0) for value in given)
    except ValueError:
        rank, size, local_rank = -1, 0, 0
    if not 0 <= rank < size or local_rank < 0:
        got = ", ".join(f"{name}={value!r}" for name, value in zip(names, given, strict=True))
        raise ConfigError(f"no worker can have these numbers; got {got}; start with torchrun, or unset the variables")
    return Worker(rank=rank, size=size, local_rank=local_rank)
