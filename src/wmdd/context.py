"""The environment of a stage: a device, random streams, and somewhere to report and to save its state.

The default `Context` computes on the CPU, reports nothing and saves nothing, so that a notebook can call a stage as a
plain function. The runner supplies one that writes (`wmdd.pipeline.stored_context`).
"""

import hashlib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from wmdd.errors import ArtifactError
from wmdd.mapped import in_memory

Made = TypeVar("Made")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """State that was saved under a name: tensors, and small facts that fit in JSON."""

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


class Team:
    """Workers that take every step of a training together; this base class is one process alone.

    `wmdd.training.data_parallel` has the team of several processes.
    """

    rank: int = 0
    """This worker's number."""
    size: int = 1
    """Number of workers."""

    def rows(self, count: int) -> slice:
        """Return which rows of a batch of `count` are this worker's."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def weight(self, count: int) -> float:
        """Return the factor on the mean loss over this worker's rows under which the workers' mean is the batch's."""
        own = self.rows(count)
        return (own.stop - own.start) * self.size / count

    def agree(self, value: Value) -> Value:
        """Return the first worker's value; every worker asks."""
        return value

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean of a tensor over the workers; every worker asks."""
        return values

    def parallel(self, model: nn.Module) -> nn.Module:
        """Return a network with the parameters of `model` whose gradients are means over the workers."""
        return model

    def step(self) -> AbstractContextManager[object]:
        """Return the context of a forward pass in training: in it BatchNorm layers see the rows of all workers."""
        return nullcontext()


@dataclass(frozen=True, kw_only=True)
class Context:
    """Environment of a stage; this base class saves and reports nothing."""

    stage: str = "notebook"
    seed: int = 0
    device: torch.device = torch.device("cpu")
    precision: str = "fp32"
    """`"fp32"` or `"bf16"`: type in which networks compute; losses and statistics stay in fp32."""
    compile: bool = False
    """Whether networks that run many times unchanged are compiled (`wmdd.models.compiling`)."""
    workers: int = 0
    """Processes that decode images which are not in memory."""
    threads: int | None = None
    """Threads in which classes are solved; None = one per processor."""
    team: Team = field(default_factory=Team)
    """Who takes every step of a training together."""

    def generator(self, *names: str | int) -> torch.Generator:
        """Return the random stream of one unit of work: a CPU generator that depends on (seed, stage, names) alone."""
        return stream(self.seed, self.stage, *names)

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context in which networks run at the chosen precision."""
        if self.precision == "bf16":
            return torch.autocast(self.device.type, torch.bfloat16)
        return nullcontext()

    def log(self, **row: Any) -> None:
        """Record one row of numbers, such as the losses of a step."""

    def warn(self, kind: str, text: str, count: int = 1) -> None:
        """Say something that a user of the result should know (`warnings.RunWarning`); a stored result repeats it.

        To be called once the whole result is known: what a stage said before it was killed is forgotten.
        """

    def progress(self, done: int, total: int) -> None:
        """Report the stage's progress."""

    def due(self) -> bool:
        """Return whether it is time to save (also true once the program was told to stop)."""
        return False

    def save(self, name: str, tensors: Mapping[str, Tensor], *, rows: Tensor | None = None, **facts: Any) -> bool:
        """Keep state under `name`, replacing what was there in one step; what is kept survives a kill.

        Args:
            name: what `restore` asks for.
            tensors: the state.
            rows: the part of an `array` that belongs to this state; only its check sum is kept.
            **facts: more state, ready for JSON.

        Returns:
            Whether it was kept: `restore` will give it back.
        """
        del name, tensors, rows, facts
        return False

    def restore(self, name: str, *, rows: Callable[[Mapping[str, Any]], Tensor] | None = None) -> Saved | None:
        """Return what was last saved under `name`; None if there is nothing, or if it was damaged since.

        Args:
            name: under which it was saved.
            rows: facts → the rows that were saved with them, and must still hold the same.
        """
        del name, rows

    def restored(self, name: str) -> Saved:
        """Return what was saved under `name`, which must be there."""
        saved = self.restore(name)
        if saved is None:
            raise ArtifactError(f"saved state is gone; got no {name!r}; run the same command again")
        return saved

    def share(self, names: Sequence[str], *, many: int = 1) -> Iterator[Sequence[int]]:
        """Yield the numbers of the units of work that this process is to make, out of those with these names.

        Here they are all units at once. Where workers share them, up to `many` at a time that nobody else is making,
        until every unit is made by someone; those that were yielded are made and saved when the next are asked for.
        """
        del many
        yield range(len(names))

    def array(self, name: str, shape: Sequence[int]) -> Tensor:
        """Return a float32 tensor of `shape` to write rows into; what was written survives a kill."""
        del name
        return torch.zeros(*shape)

    def scratch(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Return zeros of `shape` to put a large result together in; what was written does not survive a kill."""
        return in_memory(shape, dtype)


def every_unit(names: Sequence[str], make: Callable[[int], Made], ctx: Context) -> list[Made]:
    """Return `make(number)` of all units of work with these names, in order, most of them made by other workers if any.

    `make` saves what it makes, and restores what is saved: so what others have made is read.
    """
    made = {number: make(number) for numbers in ctx.share(names) for number in numbers}
    return [made.pop(number) if number in made else make(number) for number in range(len(names))]


def stream(seed: int, *names: str | int) -> torch.Generator:
    """Return a CPU generator seeded by a hash of all arguments; equal arguments give equal streams on every machine."""
    return torch.Generator().manual_seed(stream_seed(seed, *names))


def stream_seed(seed: int, *names: str | int) -> int:
    """Return the non-negative 63-bit seed that belongs to the arguments."""
    text = "\x1f".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def sent(values: Tensor, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """Return values of the CPU on `device`, queued behind what a GPU is computing: the CPU does not wait for it.

    They are read before this returns, so that they may be changed afterwards. `values.to(device)` would wait for the
    GPU in every step. Only for the way to a device: values that come back are not there yet if nobody waits.
    """
    return values.to(device, dtype, non_blocking=device.type == "cuda")


@contextmanager
def seeded(seed: int, device: torch.device) -> Generator[None]:
    """Seed torch's global streams inside the `with` and put them back after: weights and dropout know no other.

    The CPU's stream and the device's alone: `torch.manual_seed` asks every kind of device that torch knows, and for
    each that is absent writes down where it was called from, which takes longer than a small network's forward pass.
    """
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        if device.type == "cpu":
            torch.default_generator.manual_seed(seed)
        else:
            torch.manual_seed(seed)
        yield
