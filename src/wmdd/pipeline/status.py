"""The progress of a run, from the files that it has written. Free of torch; changes nothing."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import NonNegativeFloat

from wmdd.artifacts.parsing import lines_as, read_as
from wmdd.errors import ArtifactError
from wmdd.pipeline.bench_file import BENCH_FILE, read_bench
from wmdd.pipeline.run_files import METRICS_FILE, RUN_ADVICE, RUN_FILE, RunFile, read_metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spent:
    """The one fact of a manifest that a status shows."""

    seconds: NonNegativeFloat


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How far a run has come."""

    sentence: str
    rows: tuple[tuple[str, str, str, str], ...]
    """Of each stage, or each set of a bench: name, state, seconds, folder."""
    warnings: tuple[str, ...]
    """What was said so far, each once."""


def run_status(run: Path) -> Status:
    """Return the progress of the run, or the bench, in folder `run`.

    Raises:
        ArtifactError: it is not the folder of one.
    """
    if os.path.isfile(run / BENCH_FILE):  # false, not an error, for a name that no disk could hold
        return _bench_status(run)
    if not os.path.isfile(run / RUN_FILE):
        raise ArtifactError(f"not the folder of a run; got {run}; give the --out of `wmdd distill`")
    record = read_as(RunFile, run / RUN_FILE, advice=RUN_ADVICE)
    store = Path(record.store)
    rows = [_row(result.stage, store / result.folder) for result in record.results]
    if record.current:
        rows.append((record.current.rpartition("-")[0], _last(store / record.current), "", record.current))
    finished = (run / METRICS_FILE).exists() and not record.current
    said = read_metrics(run).get("warnings", ()) if finished else [asdict(each) for each in record.warnings]
    warnings = _texts(said)
    sentence = "finished" if finished else "unfinished; the same command continues"
    return Status(sentence=sentence + _counted(warnings), rows=tuple(rows), warnings=warnings)


def _bench_status(bench: Path) -> Status:
    cells = read_bench(bench)["cells"]
    rows = [(cell["row"], cell["state"], _total(cell["seconds"]), cell["folder"]) for cell in cells]
    left = sum(cell["state"] != "finished" for cell in cells)
    sentence = (
        f"unfinished, {left} of {len(cells)} sets are missing; the same command continues" if left else "finished"
    )
    warnings = _texts(each for cell in cells for each in cell.get("warnings") or ())
    return Status(sentence=sentence + _counted(warnings), rows=tuple(rows), warnings=warnings)


def _texts(warnings: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(warning["text"]) for warning in warnings))


def _counted(warnings: Sequence[str]) -> str:
    return f"; {len(warnings)} warning{'' if len(warnings) == 1 else 's'}" if warnings else ""


def _total(seconds: dict[str, float]) -> str:
    return f"{sum(seconds.values()):.1f}" if seconds else ""


def _row(stage: str, folder: Path) -> tuple[str, str, str, str]:
    manifest = folder / "manifest.json"
    if not manifest.is_file():
        return stage, "gone", "", folder.name
    try:
        return stage, "finished", f"{read_as(_Spent, manifest).seconds:.1f}", folder.name
    except ArtifactError:
        return stage, "damaged", "", folder.name


def _last(folder: Path) -> str:
    """Return the last row of the log of an unfinished stage, in words; a row that is being written does not count."""
    log = folder / "log.jsonl"
    rows, _ = lines_as(dict[str, Any], log.read_bytes().splitlines()[-2:] if log.is_file() else ())
    if not rows:
        return "begun"
    facts = [f"{name} {rows[-1][name]}" for name in ("unit", "epoch", "step") if rows[-1].get(name) not in (None, "")]
    return f"begun, {', '.join(facts)}" if facts else "begun"
