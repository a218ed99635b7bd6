"""What `bench.json` holds, as it is read again: wholly or not at all. Free of torch."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from wmdd.pipeline.run_files import Amounts, Losses, ScoreRow, read_contents
from wmdd.warnings import RunWarning

BENCH_FILE = "bench.json"
BENCH_SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchData:
    """The real images of a bench."""

    name: str
    train: NonNegativeInt
    val: NonNegativeInt
    image_size: NonNegativeInt
    channels: NonNegativeInt


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchTeacher:
    """The teacher that all rows share."""

    arch: str
    top1: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchMachine:
    """The machine, the code and the command of a bench."""

    device: str
    precision: str
    command: str
    version: str
    commit: str
    versions: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRow:
    """A row of a bench."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CellRow:
    """A cell of a bench."""

    row: str
    method: str
    ipc: NonNegativeInt
    seed: int
    state: Literal["waiting", "finished", "failed"]
    error: str
    folder: str
    scores: tuple[ScoreRow, ...]
    beside: tuple[ScoreRow, ...]
    seconds: Amounts
    memory: Amounts
    bytes: Amounts
    commits: dict[str, str] = field(default_factory=dict)
    losses: Losses = field(default_factory=dict)
    warnings: tuple[RunWarning, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchFile:
    """`bench.json`."""

    data: BenchData
    teacher: BenchTeacher
    rows: tuple[BenchRow, ...]
    ipcs: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
    students: tuple[str, ...]
    protocols: tuple[str, ...]
    seeds: int
    distill_seeds: int
    run: BenchMachine
    cells: tuple[CellRow, ...]


def read_bench(bench: Path) -> dict[str, Any]:
    """Return the contents of a bench's `bench.json`; raises what `read_metrics` raises."""
    return read_contents(bench / BENCH_FILE, BenchFile, BENCH_SCHEMA, "run `wmdd bench` again")
