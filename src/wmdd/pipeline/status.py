"""The progress of a run, from the files that it has written. Free of torch; changes nothing."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wmdd.artifacts.parsing import read_as
from wmdd.errors import ArtifactError

RUN_FILE = "run.json"
METRICS_FILE = "metrics.json"
BENCH_FILE = "bench.json"
_ADVICE = "run the same command again to write it anew"


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
    if (run / BENCH_FILE).exists():
        return _bench_status(run / BENCH_FILE)
    try:
        record = json.loads((run / RUN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"not the folder of a run; got {run}; give the --out of `wmdd distill`") from error
    store = Path(record["store"])
    rows = [_row(result["stage"], store / result["folder"]) for result in record["results"]]
    if record["current"]:
        name = record["current"]
        rows.append((name.rpartition("-")[0], _last(store / name), "", name))
    finished = (run / METRICS_FILE).exists() and not record["current"]
    said = read_as(dict[str, Any], run / METRICS_FILE, advice=_ADVICE) if finished else record
    warnings = _texts(said.get("warnings") or ())
    sentence = "finished" if finished else "unfinished; the same command continues"
    return Status(sentence=sentence + _counted(warnings), rows=tuple(rows), warnings=warnings)


def _bench_status(path: Path) -> Status:
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        rows = [(cell["row"], cell["state"], _total(cell["seconds"]), cell["folder"]) for cell in cells]
    except (OSError, ValueError, KeyError) as error:
        raise ArtifactError(f"cannot read {path}; got {type(error).__name__}; run `wmdd bench` again") from error
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
    try:
        seconds = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["seconds"]
    except (OSError, ValueError, KeyError):
        return stage, "gone", "", folder.name
    return stage, "finished", f"{seconds:.1f}", folder.name


def _last(folder: Path) -> str:
    """Return the last row of the log of an unfinished stage, in words."""
    log = folder / "log.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    if not lines:
        return "begun"
    try:
        row = json.loads(lines[-1])
    except ValueError:
        return "begun"
    facts = [f"{name} {row[name]}" for name in ("unit", "epoch", "step") if row.get(name) not in (None, "")]
    return f"begun, {', '.join(facts)}" if facts else "begun"
