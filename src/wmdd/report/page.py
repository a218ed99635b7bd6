"""From the finished files of a run folder to `report.html`: one file, no script, no address outside itself."""

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wmdd.artifacts.files import write_bytes
from wmdd.errors import ArtifactError
from wmdd.evaluation.comparison import is_reference
from wmdd.evaluation.differences import signed
from wmdd.evaluation.rows import number, summarise
from wmdd.evaluation.tested import images_tested, kind_tested
from wmdd.pipeline.run_files import METRICS_FILE, read_metrics
from wmdd.report import shares, tables, worth
from wmdd.report.collect import barycenter_plot, curves, parse_log
from wmdd.report.distances import class_costs, feature_distances, percent, three_digits
from wmdd.report.figures import Drawing, draw
from wmdd.report.gallery import read_gallery
from wmdd.report.templates import ABSENT, render
from wmdd.settings.yaml_tree import load_yaml

_PARTS = {
    "metrics.json": "accuracies, timings and sizes",
    "log.jsonl": "curves",
    "recipe.yaml": "settings",
    "distilled/manifest.json": "images",
}
_SIGNS = ("run.json", "metrics.json", "recipe.yaml", "log.jsonl")
"""A folder with none of these is not that of a run."""
_LOGS = ("log.jsonl", "evaluations/log.jsonl")
"""The run's own, and that of the students evaluated later."""


class _Known(dict[str, Any]):
    """A section of the metrics in which missing values read as None."""

    def __missing__(self, key: str) -> None:
        return None


def write_report(run: Path) -> Path:
    """Write `report.html` into a run folder from its finished files, and return its path; equal files give equal bytes.

    Whatever an unfinished run does not have yet is left out and named on the page.

    Raises:
        ArtifactError: the folder is missing, or one of its files is damaged, of a newer schema or not writable.
    """
    if not os.path.isdir(run := Path(run)):  # false, not an error, for a name that no disk could hold
        raise ArtifactError(f"no such run folder; got {run}; give the --out folder of a `wmdd distill`")
    if not any((run / sign).is_file() for sign in _SIGNS):
        raise ArtifactError(
            f"not the folder of a run; got {run} without {', '.join(_SIGNS)}; give the --out of `wmdd distill`"
        )
    target = run / "report.html"
    write_bytes(target, render("page.html.j2", **_content(run)).encode())
    return target


def _content(folder: Path) -> dict[str, Any]:
    metrics, recipe = _metrics(folder), _recipe(folder / "recipe.yaml")
    logs = [folder / log for log in _LOGS if (folder / log).is_file()]
    rows, skipped = parse_log(b"\n".join(map(_bytes, logs)))
    data, run, teacher, barycenter, diagnosis = (
        _section(metrics, name) for name in ("data", "run", "teacher", "barycenter", "diagnosis")
    )
    teacher["top1"] = number(teacher["top1"])
    trace = barycenter_plot(barycenter)
    costs = class_costs(diagnosis, data["classes"] or ())
    method = str(run["method"] or recipe.get("method") or "")
    return {
        "title_of": tables.set_title,
        "is_reference": is_reference,
        "share": shares.share_text,
        "share_reading": shares.READING,
        "worths": _worths(metrics),
        "passes": lambda row: tables.passes_text(tables.passes(row, metrics)),
        "real": _real,
        "name": folder.resolve().name,
        "data": data,
        "run": run,
        "teacher": teacher,
        "kind": kind_tested(data),
        "tested_on": images_tested(int(number(data["val"]) or 0), kind_tested(data)),
        "verdict": tables.verdict(metrics),
        "overall": tables.overall(metrics),
        "comparison": next(iter(tables.beside_random(metrics)), None),
        "blocks": tables.evaluated(metrics),
        "signed": signed,
        "reading": f"{tables.READING}{tables.sampling(metrics)}",
        "full_data": summarise(metrics.get("full_data") or ()),
        "ranking": _ranking(metrics),
        "gallery": read_gallery(folder / "distilled", data["classes"]),
        "drawings": [draw(plot) for plot in (*curves(rows, method), trace) if plot is not None],
        "barycenter": barycenter if trace is not None else None,
        "percent": percent,
        "three_digits": three_digits,
        "distances": feature_distances(diagnosis),
        "class_costs": None if costs is None else draw(costs),
        "seconds": tables.timings(_section(metrics, "seconds")),
        "sizes": tables.sizes(_section(metrics, "bytes")),
        "settings": tables.flattened(recipe),
        "warnings": [each["text"] for each in metrics.get("warnings", ())],
        "missing": [what for part, what in _PARTS.items() if not (folder / part).exists()],
        "skipped": skipped,
    }


def _worths(metrics: Mapping[str, Any]) -> list[tuple[list[str], Drawing]]:
    """Return the sentences and the curve of each block whose sets have an exchange rate."""
    plots = [(block, worth.curve_plot(block)) for block in tables.evaluated(metrics)]
    return [(worth.rate_sentences(block), draw(plot)) for block, plot in plots if plot is not None]


def _ranking(metrics: Mapping[str, Any]) -> list[_Known]:
    """Return DD-Ranking's scores, or none if only the improvement over random images is known."""
    rows = [_Known(row) for row in metrics.get("ranking") or ()]
    return (
        rows
        if any(number(row[name]) is not None for row in rows for name in ("hlr", "lrs", "ars", "ars_published"))
        else []
    )


def _section(metrics: Mapping[str, Any], name: str) -> _Known:
    return _Known(metrics.get(name) or {})


@contextmanager
def _reading(path: Path, problem: str) -> Generator[None]:
    """Turn any failure to read `path` into one line that names the problem."""
    try:
        yield
    except (OSError, ValueError) as error:
        line = " ".join(str(error).split())
        raise ArtifactError(f"{path} {problem}; got {line}; run the command again to write it anew") from None


def _bytes(path: Path) -> bytes:
    with _reading(path, "cannot be read"):
        return path.read_bytes()


def _metrics(run: Path) -> Mapping[str, Any]:
    return read_metrics(run) if (run / METRICS_FILE).is_file() else {}


def _recipe(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    with _reading(path, "is not YAML"):
        recipe = load_yaml(path.read_text(encoding="utf-8"))
        if not isinstance(recipe, dict):
            raise ValueError(f"{type(recipe).__name__} in place of settings")
    return recipe


def _real(value: object, digits: int = 1) -> str:
    known = number(value)
    return ABSENT if known is None else f"{known:.{digits}f}"
