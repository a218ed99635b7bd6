"""What the files of a run hold, as they are read again: wholly or not at all. Free of torch. A bench's: `bench_file`.

Reports and tables work on the plain contents, in which newer versions may have more than is named here. What is named
may be missing where it has a default: runs of older versions do not have all of it.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveInt

from wmdd.artifacts.parsing import PlainName, read_as
from wmdd.errors import ArtifactError
from wmdd.warnings import RunWarning

RUN_FILE = "run.json"
METRICS_FILE = "metrics.json"
RECIPE_FILE = "recipe.yaml"
SCHEMA = 1
"""Of `metrics.json`."""
RUN_ADVICE = "run the same command again to write it anew"

Accuracy = Annotated[float, Field(ge=0, le=100)]
"""Per cent."""
Amounts = dict[str, Annotated[float, Field(ge=0)]]
"""Seconds or bytes, by what they were spent on."""
Fraction = Annotated[float, Field(ge=-1, le=1)]
Losses = dict[str, Annotated[float, Field(allow_inf_nan=False)]]
"""Of a set, by name."""


_BY_CLASS = frozenset({"cost", "random_cost", "random_std", "distance"})
"""Figures of a diagnosis that are known class by class, whatever the teacher."""


def _for_every_class(diagnosis: Any) -> Any:
    of_sets = [each.classes for each in diagnosis.values()]
    if any(of_sets) and any(not figures.keys() >= _BY_CLASS for figures in of_sets):
        raise ValueError(f"every set must have {', '.join(sorted(_BY_CLASS))}")
    if len({len(values) for figures in of_sets for values in figures.values()}) > 1:
        raise ValueError("lists must have an entry for every class")
    return diagnosis


def _possible(path: str) -> str:
    if "\0" in path or len(path.encode()) > 4000 or any(len(part.encode()) > 255 for part in Path(path).parts):
        raise ValueError("no possible path")
    return path


@dataclass(frozen=True, slots=True, kw_only=True)
class StageEntry:
    """A result of a run."""

    stage: str
    folder: PlainName
    """In the store."""
    record: str = ""
    """Type of what it holds; empty in runs of older versions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFile:
    """`run.json`."""

    store: Annotated[str, AfterValidator(_possible)]
    results: tuple[StageEntry, ...]
    current: PlainName | None
    sets: tuple[PlainName, ...] | None = None
    teachers: tuple[PlainName, ...] | None = None
    labelling: tuple[PlainName, ...] | None = None
    warnings: tuple[RunWarning, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRow:
    """A `values.Score` in a file."""

    set: str
    student: str
    protocol: str
    labels: str
    ipc: NonNegativeInt
    seed: int
    distill_seed: int = 0
    departs: str = ""
    fingerprint: str = ""
    labelled_by: str = ""
    images: str = ""
    seen: NonNegativeInt = 0
    test_loss: Annotated[float, Field(ge=0)] | None = None
    top1: Accuracy | None
    top5: Accuracy | None
    top1_best: Accuracy | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DataRow:
    """The real images."""

    name: str = ""
    classes: tuple[str, ...] = ()
    train: NonNegativeInt = 0
    val: NonNegativeInt = 0
    image_size: NonNegativeInt = 0
    channels: NonNegativeInt = 0
    broken: NonNegativeInt = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherRow:
    """The teacher."""

    arch: str = ""
    stem: str = ""
    top1: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BarycenterRow:
    """The barycenter stage."""

    objective: str | None = None
    weights: str | None = None
    cost_mean: float | None = None
    best_known_mean: float | None = None
    starts: PositiveInt | None = None
    uniform_share: Annotated[float, Field(ge=0, le=1)] | None = None
    traces: tuple[tuple[float, ...], ...] = ()
    converged: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagnosisRow:
    """One set's diagnosis."""

    mean: dict[str, float] = field(default_factory=dict)
    classes: dict[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RankingRow:
    """DD-Ranking's scores of a set."""

    set: str
    student: str
    protocol: str
    labels: str
    ior: Fraction | None = None
    hlr: Fraction | None = None
    lrs: Fraction | None = None
    ars: Fraction | None = None
    ars_published: Fraction | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CostRow:
    """Costs of a set."""

    seconds: Amounts
    memory: Amounts


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineRow:
    """The machine, the code and the command."""

    device: str = ""
    precision: str = ""
    command: str = ""
    version: str = ""
    commit: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    method: str = ""
    ipc: NonNegativeInt = 0
    seed: int = 0
    results: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """`metrics.json`."""

    data: DataRow = field(default_factory=DataRow)
    teacher: TeacherRow = field(default_factory=TeacherRow)
    barycenter: BarycenterRow = field(default_factory=BarycenterRow)
    diagnosis: Annotated[dict[str, DiagnosisRow], AfterValidator(_for_every_class)] = field(default_factory=dict)
    evaluations: tuple[ScoreRow, ...] = ()
    full_data: tuple[ScoreRow, ...] = ()
    ranking: tuple[RankingRow, ...] = ()
    warnings: tuple[RunWarning, ...] = ()
    seconds: Amounts = field(default_factory=dict)
    costs: dict[str, CostRow] = field(default_factory=dict)
    bytes: Amounts = field(default_factory=dict)
    losses: Losses = field(default_factory=dict)
    run: MachineRow = field(default_factory=MachineRow)


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinedScores:
    """`evaluations/scores.json`."""

    of: dict[str, Any]
    """Identities of the sets and of the teachers that the scores belong to."""
    scores: tuple[ScoreRow, ...]


def read_metrics(run: Path) -> dict[str, Any]:
    """Return the contents of a run's `metrics.json`; raises `ArtifactError` if it is not there, foreign or damaged."""
    return read_contents(run / METRICS_FILE, Metrics, SCHEMA, RUN_ADVICE)


def read_contents(path: Path, kind: type, schema: int, advice: str) -> dict[str, Any]:
    """Return the plain contents of a file that holds a `kind`; raises `ArtifactError` if it does not."""
    content = read_as(dict[str, Any], path, advice=advice)
    if content.get("schema") != schema:
        raise ArtifactError(
            f"{path} is of another schema; got {content.get('schema')!r}; this wmdd reads schema {schema}"
        )
    read_as(kind, path, advice=advice)
    return content
