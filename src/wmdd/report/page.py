"""Open the finished files of a run folder and write `report.html`: one file, no script, no address outside itself."""

import io
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from PIL import Image

from wmdd.errors import ArtifactError
from wmdd.evaluation.comparison import number, summarise
from wmdd.methods.catalogue import title_of
from wmdd.report import tables
from wmdd.report.collect import LogRows, barycenter_plot, curves, parse_log
from wmdd.report.distances import class_costs, feature_distances, three_digits
from wmdd.report.figures import LARGEST, LOSSLESS, draw, sprite
from wmdd.report.templates import ABSENT, render, write_text

SCHEMA = 1
CLASSES = 20
"""Classes that are shown, spread evenly over all of them."""
PER_CLASS = 10
"""Pictures shown of a class, those with the largest weight."""

_PARTS = {
    "metrics.json": "accuracies, timings and sizes",
    "log.jsonl": "curves",
    "recipe.yaml": "settings",
    "distilled/manifest.json": "images",
}


class _Known(dict[str, Any]):
    """A part of the metrics in which what is not there yet reads as None."""

    def __missing__(self, key: str) -> None:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassImages:
    """The pictures of one class."""

    name: str
    weights: tuple[float, ...]
    """Of the pictures shown; over all pictures of the class they sum to 1."""
    sprite: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """The pictures that the page shows, and what they were chosen from."""

    images: tuple[ClassImages, ...] = ()
    classes: int = 0
    per_class: int = 0
    side: int = 0

    @property
    def cell(self) -> int:
        """Width of a picture on the page: a whole multiple of small sides, so that pixels stay square."""
        return self.side * max(1, 72 // self.side) if 0 < self.side <= LOSSLESS else 92

    @property
    def reduced(self) -> bool:
        """True if pictures are shown smaller than they are."""
        return self.side > LARGEST


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFiles:
    """What a run folder holds so far."""

    name: str
    metrics: Mapping[str, Any] = field(default_factory=dict)
    log: LogRows = field(default_factory=LogRows)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    gallery: Gallery = field(default_factory=Gallery)
    missing: tuple[str, ...] = ()


def write_report(run: Path) -> Path:
    """Write `report.html` into a run folder from its finished files, and return its path; equal files give equal bytes.

    What an unfinished run does not have yet is left out and named on the page.

    Raises:
        ArtifactError: The folder is missing, or one of its files is damaged, of a newer schema or cannot be
            written.
    """
    files = read_run(Path(run))
    target = Path(run) / "report.html"
    write_text(target, render("page.html.j2", **_content(files)))
    return target


def read_run(run: Path) -> RunFiles:
    """Read the files that the page is made of."""
    if not run.is_dir():
        raise ArtifactError(f"no such run folder; got {run}; give the --out folder of a `wmdd distill`")
    metrics = _metrics(run / "metrics.json")
    log = run / "log.jsonl"
    return RunFiles(
        name=run.resolve().name,
        metrics=metrics,
        log=parse_log(log.read_text(encoding="utf-8", errors="replace")) if log.is_file() else LogRows(),
        recipe=_recipe(run / "recipe.yaml"),
        gallery=_gallery(run / "distilled", metrics),
        missing=tuple(what for part, what in _PARTS.items() if not (run / part).exists()),
    )


def _content(files: RunFiles) -> dict[str, Any]:
    metrics = files.metrics
    data, run, teacher, barycenter, diagnosis = (
        _section(metrics, name) for name in ("data", "run", "teacher", "barycenter", "diagnosis")
    )
    teacher["top1"] = number(teacher["top1"])
    trace = barycenter_plot(barycenter)
    costs = class_costs(diagnosis, data["classes"] or ())
    method = str(run["method"] or files.recipe.get("method") or "")
    return {
        "title_of": title_of,
        "real": _real,
        "name": files.name,
        "data": data,
        "run": run,
        "teacher": teacher,
        "verdict": tables.verdict(metrics),
        "overall": tables.overall(metrics),
        "comparison": next(iter(tables.beside_random(metrics)), None),
        "blocks": tables.evaluated(metrics),
        "full_data": summarise(metrics.get("full_data") or ()),
        "ranking": _ranking(metrics),
        "gallery": files.gallery,
        "drawings": [draw(plot) for plot in (*curves(files.log.rows, method), trace) if plot is not None],
        "barycenter": barycenter if trace is not None else None,
        "three_digits": three_digits,
        "distances": feature_distances(diagnosis),
        "class_costs": None if costs is None else draw(costs),
        "seconds": tables.timings(_section(metrics, "seconds")),
        "sizes": tables.sizes(_section(metrics, "bytes")),
        "settings": tables.flattened(files.recipe),
        "missing": files.missing,
        "skipped": files.log.skipped,
    }


def _ranking(metrics: Mapping[str, Any]) -> list[_Known]:
    """Return DD-Ranking's scores, or none if they tell no more than the improvement over random images."""
    rows = [_Known(row) for row in metrics.get("ranking") or ()]
    return rows if any(number(row[name]) is not None for row in rows for name in ("hlr", "lrs", "ars")) else []


def _section(metrics: Mapping[str, Any], name: str) -> _Known:
    return _Known(metrics.get(name) or {})


def _metrics(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ArtifactError(f"{path} is not JSON; got {error}; run the command again to write it anew") from None
    if not isinstance(metrics, dict) or metrics.get("schema") != SCHEMA:
        got = metrics.get("schema") if isinstance(metrics, dict) else type(metrics).__name__
        raise ArtifactError(f"{path} is of another schema; got {got!r}; this wmdd reads schema {SCHEMA}")
    return metrics


def _recipe(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    try:
        recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        line = " ".join(str(error).split())
        raise ArtifactError(f"{path} is not YAML; got {line}; run the command again to write it anew") from None
    return recipe if isinstance(recipe, dict) else {}


def _gallery(distilled: Path, metrics: Mapping[str, Any]) -> Gallery:
    if not (distilled / "manifest.json").is_file():  # written last: without it the folder is not finished
        return Gallery()
    files = sorted((distilled / "data").glob("train-*.parquet"))
    try:
        return _chosen(files, _class_names(distilled, metrics))
    except (pa.ArrowException, KeyError, OSError, ValueError) as error:
        line = " ".join(str(error).split())
        raise ArtifactError(f"{distilled} cannot be read; got {line}; run the command again to write it anew") from None


def _class_names(distilled: Path, metrics: Mapping[str, Any]) -> Sequence[str]:
    names = _section(metrics, "data")["classes"]
    if not names:
        names = json.loads((distilled / "manifest.json").read_text(encoding="utf-8")).get("classes")
    return [str(name) for name in names or ()]


def _chosen(files: Sequence[Path], names: Sequence[str]) -> Gallery:
    """Choose by label and weight first, so that only the pictures that are shown get read."""
    rows = [pq.read_table(file, columns=["label", "weight"]) for file in files]
    table = pa.concat_tables(rows).to_pydict()
    of_class: dict[int, list[int]] = defaultdict(list)
    for position, label in enumerate(table["label"]):
        of_class[label].append(position)
    labels = sorted(of_class)
    shown = [labels[i * len(labels) // CLASSES] for i in range(CLASSES)] if len(labels) > CLASSES else labels
    weight: list[float] = table["weight"]
    chosen = {label: sorted(of_class[label], key=lambda at: -weight[at])[:PER_CLASS] for label in shown}
    pictures = _pictures(files, [at for positions in chosen.values() for at in positions])
    return Gallery(
        images=tuple(
            ClassImages(
                name=names[label] if label < len(names) else f"class {label}",
                weights=tuple(weight[at] for at in positions),
                sprite=sprite([pictures[at] for at in positions]),
            )
            for label, positions in chosen.items()
        ),
        classes=len(labels),
        per_class=max(map(len, of_class.values()), default=0),
        side=max((max(picture.size) for picture in pictures.values()), default=0),
    )


def _pictures(files: Sequence[Path], positions: Sequence[int]) -> dict[int, Image.Image]:
    """Decode the pictures at `positions`, counted over all files, one batch of rows in memory at a time."""
    wanted = set(positions)
    found: dict[int, Image.Image] = {}
    start = 0
    for file in files:
        for batch in pq.ParquetFile(file).iter_batches(batch_size=256, columns=["image"]):
            column = batch.column("image")
            for at in sorted(wanted.intersection(range(start, start + len(column)))):
                picture = Image.open(io.BytesIO(column[at - start].as_py()["bytes"]))
                picture.load()
                found[at] = picture
            start += len(column)
    return found


def _real(value: object, digits: int = 1) -> str:
    """Format a number of the page; a dash stands for what is not known."""
    known = number(value)
    return ABSENT if known is None else f"{known:.{digits}f}"
