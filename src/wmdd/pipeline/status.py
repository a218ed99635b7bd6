"""The progress of a run, from the files that it has written. Free of torch; changes nothing."""

import json
from dataclasses import dataclass
from pathlib import Path

from wmdd.errors import ArtifactError

RUN_FILE = "run.json"
METRICS_FILE = "metrics.json"
BENCH_FILE = "bench.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """A sentence, and a row for each stage: name, state, seconds, folder."""

    sentence: str
    rows: tuple[tuple[str, str, str, str], ...]


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
    return Status(sentence="finished" if finished else "unfinished; the same command continues", rows=tuple(rows))


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
    return Status(sentence=sentence, rows=tuple(rows))


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
