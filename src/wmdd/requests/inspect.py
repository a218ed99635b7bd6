"""`wmdd predict`, `report`, `status`, `export` and `list`, and their functions: what they look at."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, get_args

from wmdd.errors import ConfigError, did_you_mean
from wmdd.evaluation.protocol_names import list_protocols
from wmdd.methods.catalogue import known_methods
from wmdd.models.names import list_models
from wmdd.product.folders import ExportFormat
from wmdd.recipes import BENCHES, RECIPES
from wmdd.requests.given import Flags, Given, require_folder, require_target, sort_given
from wmdd.settings import PositiveInt, RelabelSettings
from wmdd.stages.recovery.further import BUILT_IN, LOSSES


class PredictFlags(Flags):
    """`wmdd predict` has none."""

    command: ClassVar[str] = "predict"
    usage: ClassVar[str] = "`wmdd predict BENCH`"


class ReportFlags(Flags):
    """`wmdd report` has none."""

    command: ClassVar[str] = "report"
    usage: ClassVar[str] = "`wmdd report RUN`"


class StatusFlags(Flags):
    """`wmdd status` has none."""

    command: ClassVar[str] = "status"
    usage: ClassVar[str] = "`wmdd status RUN`"


class ExportFlags(Flags):
    """Flags of `wmdd export`; the first two are required."""

    command: ClassVar[str] = "export"
    usage: ClassVar[str] = f"`wmdd export RUN --format {'|'.join(get_args(ExportFormat))} --to DIR`"

    format: str | None = None
    """Form of the images; see `wmdd.product.writing.export_set`."""
    to: str | None = None
    """New or empty folder."""
    labels: Literal["topk"] | None = None
    """Of parquet: write the soft labels too, full ones with their largest logits in 8 bits; `wmdd.load` reads them."""
    top_k: PositiveInt | None = None
    """Logits that are kept; none = the default of `relabel.top_k`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderRequest:
    """The folder of a run or of a bench, to be looked at."""

    run: Path

    def require_inputs(self) -> None:
        """Refuse a folder that is not there; raises `ArtifactError`."""
        require_folder(self.run)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest(FolderRequest):
    """A set in a form for other programs."""

    format: ExportFormat
    to: Path
    top_k: int | None = None
    """Logits of a soft label that are kept; None = soft labels are left out."""


def predict_request(bench: str | Path) -> FolderRequest:
    """Return the folder of the bench whose losses are asked about; raises `ConfigError` if none is named."""
    return FolderRequest(run=Path(require_target(PredictFlags, bench)))


def report_request(run: str | Path) -> FolderRequest:
    """Return the folder whose page is asked for; raises `ConfigError` if none is named."""
    return FolderRequest(run=Path(require_target(ReportFlags, run)))


def status_request(run: str | Path) -> FolderRequest:
    """Return the folder whose progress is asked for; raises `ConfigError` if none is named."""
    return FolderRequest(run=Path(require_target(StatusFlags, run)))


def export_request(run: str | Path, given: Given) -> ExportRequest:
    """Return the export that is asked for.

    Args:
        run: folder of a run, or of the set in it.
        given: `format`, `to`, `labels`, `top_k`.

    Raises:
        ConfigError: a required one is missing, the format is unknown, or labels are asked for that it has no room for.
    """
    path = require_target(ExportFlags, run)
    flags, settings = sort_given(ExportFlags, given)
    for name in settings:
        raise ConfigError(f"{name}: unknown setting{did_you_mean(name, ExportFlags.model_fields)}")
    if flags.format is None or flags.to is None:
        missing = "format" if flags.format is None else "to"
        raise ConfigError(f"export needs --{missing}; got none; type {ExportFlags.usage}")
    for form in get_args(ExportFormat):
        if form == flags.format:
            return ExportRequest(run=Path(path), format=form, to=Path(flags.to), top_k=_kept(flags, form))
    raise ConfigError(f"format: unknown; got {flags.format!r}{did_you_mean(flags.format, get_args(ExportFormat))}")


def _kept(flags: ExportFlags, form: ExportFormat) -> int | None:
    """Return how many logits of a soft label an export keeps; None = it has none."""
    if flags.labels is None:
        if flags.top_k is not None:
            raise ConfigError(f"top_k says what labels keep; got {flags.top_k} without them; add --labels topk")
        return None
    if form != "parquet":
        raise ConfigError(f"labels are exported with parquet only; got format {form!r}; use --format parquet")
    return flags.top_k or RelabelSettings().top_k


def list_request(what: str) -> str:
    """Return what is to be listed.

    Raises:
        ConfigError: there is no such kind of names.
    """
    if what not in _LISTS:
        raise ConfigError(f"list: unknown kind; got {what!r}{did_you_mean(what, _LISTS)}")
    return what


def list_names(what: str) -> dict[str, str]:
    """Return the names of a kind, each with a line about it; the same as `wmdd list`.

    Args:
        what: `methods`, `recipes`, `protocols`, `models`, `losses` or `data`.

    Raises:
        ConfigError: there is no such kind of names.
    """
    return _LISTS[list_request(what)]()


def _recipes() -> dict[str, str]:
    makers = {**RECIPES, **BENCHES}
    first = {name: (make.__doc__ or "").split("\n")[0] for name, make in makers.items()}
    return {name: f"bench: {line}" if name in BENCHES else line for name, line in first.items()}


def _data() -> dict[str, str]:
    from wmdd.data.sources.table import list_forms  # noqa: PLC0415 - imports pyarrow

    return list_forms()


_LISTS: dict[str, Callable[[], dict[str, str]]] = {
    "methods": known_methods,
    "recipes": _recipes,
    "protocols": list_protocols,
    "models": list_models,
    "losses": lambda: LOSSES.beside(BUILT_IN),
    "data": _data,
}
