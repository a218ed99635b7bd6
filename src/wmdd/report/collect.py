"""From the rows of `log.jsonl` and the numbers of `metrics.json` to the curves of the page; opens no file."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, NamedTuple

from wmdd.artifacts.parsing import lines_as
from wmdd.evaluation.real_names import CEILING_SET, is_pool
from wmdd.evaluation.rows import BASELINE, number
from wmdd.methods.catalogue import losses_of
from wmdd.report.tables import set_title

POINTS = 240
"""A curve is thinned to about this many points: more would be invisible and only make the page heavier."""
PANELS = 6
"""Student settings that get a panel of their own."""
EVALUATION_STAGES = frozenset({"relabel", "evaluate", "diagnose", "pool", "full_data"})
"""Stages that come after the images, whatever made them."""

_STUDENT = re.compile(rf"(?P<of>{CEILING_SET}|{BASELINE} ×\S+|\S+) ?(?P<setting>.*?)( seed \d+(?P<hard> hard)?)?")
"""Name of a student: its set, its network and protocol, its seed, and whether it has the other labels of both."""
_LOSS = re.compile(r"(?:.+_)?loss")
"""Columns of losses, also of a stage that no card describes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One line of a plot: the mean over its units, and the range of the units."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    """Smallest value over the units at each `x`; empty where there is a single unit."""
    high: tuple[float, ...] = ()
    units: int = 1
    baseline: bool = False
    """Drawn as the reference for the others: grey and dashed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """The content of one figure, before it is drawn."""

    key: str
    """Unique on the page; becomes part of the ids inside the drawing."""
    title: str
    note: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    log: bool = False
    log_x: bool = False
    """Whether the horizontal axis is logarithmic."""
    level: tuple[str, float] | None = None
    """Name and height of a horizontal line."""
    tick_labels: tuple[str, ...] = ()
    """Names of x = 0, 1, ..., where x is not a quantity."""


class LogRows(NamedTuple):
    """The readable rows of a log, and the number of unreadable lines."""

    rows: list[Mapping[str, Any]]
    skipped: int


def slug(text: str) -> str:
    """Return `text` in a form that can be part of an id on the page."""
    return "".join(letter if letter.isalnum() else "-" for letter in text)


def parse_log(content: bytes) -> LogRows:
    """Read one JSON object per line; a line torn by a kill, wherever it is, is counted and left out."""
    rows, skipped = lines_as(dict[str, Any], content.split(b"\n"))
    known: list[Mapping[str, Any]] = [row for row in rows if "stage" in row]
    return LogRows(known, skipped=skipped + len(rows) - len(known))


def curves(rows: Iterable[Mapping[str, Any]], method: str = "") -> list[Plot]:
    """Return the plots for which the log has numbers: stages up to the images in stored order, then students.

    The card of the run's `method` labels the losses of its images. A line needs two points: a teacher that the user
    brought has an accuracy, but no curve.
    """
    by_stage: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_stage.setdefault(str(row["stage"]), []).append(row)
    labels = losses_of(method)
    plots: list[Plot] = []
    for stage, rows_of_stage in by_stage.items():
        if stage not in EVALUATION_STAGES:
            plots += _stage_plots(stage, rows_of_stage, labels)
    plots += _students(by_stage.get("evaluate", []))
    return [plot for plot in plots if any(len(series.x) > 1 for series in plot.series)]


def barycenter_plot(barycenter: Mapping[str, Any]) -> Plot | None:
    """Return the barycenter's cost per iteration, the mean over classes, or None without traces.

    A class that stopped early keeps its last cost, so that every iteration is a mean over all classes.
    """
    traces = [[v for v in map(number, trace) if v is not None] for trace in barycenter.get("traces") or ()]
    traces = [trace for trace in traces if trace]
    if not traces:
        return None
    steps = range(max(map(len, traces)))
    padded = {f"class {k}": {float(i): trace[min(i, len(trace) - 1)] for i in steps} for k, trace in enumerate(traces)}
    best = number(barycenter.get("best_known_mean"))
    classes = "1 class" if len(traces) == 1 else f"{len(traces)} classes"
    return Plot(
        key="barycenter",
        title="Barycenter cost",
        note=f"Squared Wasserstein distance to the real features, mean over {classes}.",
        x_label="iteration",
        y_label="cost",
        series=(mean_series("cost", padded),),
        level=None if best is None else ("best known (k-means run to convergence)", best),
    )


def mean_series(name: str, units: Mapping[str, Mapping[float, float]], *, baseline: bool = False) -> Series:
    """Return the mean over units at every x that some unit has, thinned, with the range of the units as a band."""
    at: dict[float, list[float]] = {}
    for unit in units.values():
        for x, y in unit.items():
            at.setdefault(x, []).append(y)
    xs = _thinned(sorted(at))
    several = len(units) > 1
    return Series(
        name=name,
        x=tuple(xs),
        y=tuple(fmean(at[x]) for x in xs),
        low=tuple(min(at[x]) for x in xs) if several else (),
        high=tuple(max(at[x]) for x in xs) if several else (),
        units=len(units),
        baseline=baseline,
    )


def _stage_plots(stage: str, rows: Sequence[Mapping[str, Any]], labels: Mapping[str, str]) -> list[Plot]:
    """Return a stage's plots: one per kind of unit, because names that differ beyond numbers are different quantities.

    Rows with epochs are from training a network; all others are from optimising images.
    """
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        name = re.split(r"\d", str(row.get("unit", "")), maxsplit=1)[0].strip(" -_")
        kinds.setdefault(name or stage.replace("_", " "), []).append(row)
    plots: list[Plot] = []
    for index, (kind, part) in enumerate(kinds.items()):
        key = slug(stage) + (f"-{index}" if index else "")
        if _axis(part) == "epoch":
            plots += _training(key, f"{kind[:1].upper()}{kind[1:]}", part)
        else:
            plots.append(_optimisation(key, f": {kind}" if len(kinds) > 1 else "", part, labels))
    return plots


def _training(key: str, network: str, rows: Sequence[Mapping[str, Any]]) -> list[Plot]:
    accuracy = mean_series("top1", _values(rows, "top1", positive=False))
    lines, log = _losses(rows, {"loss": "in training", "test_loss": "on images not trained on"})
    note = f"Real images{_scale(lines, 'networks', log=log)}."
    return [
        Plot(key=f"{key}-top1", title=f"{network} accuracy", note="Real images, not trained on.", x_label=_axis(rows),
             y_label="top-1, %", series=(accuracy,)),
        Plot(key=f"{key}-loss", title=f"{network} loss", note=note, x_label=_axis(rows), y_label="loss",
             series=lines, log=log),
    ]  # fmt: skip


def _optimisation(key: str, kind: str, rows: Sequence[Mapping[str, Any]], labels: Mapping[str, str]) -> Plot:
    lines, log = _losses(rows, labels)
    title = "Recovery losses" if len(lines) > 1 else "Distillation loss"  # a recovery logs the terms of its loss too
    note = f"Loss of the images{_scale(lines, 'groups of classes', log=log)}."
    return Plot(key=key, title=f"{title}{kind}", note=note, x_label=_axis(rows), y_label="loss", series=lines, log=log)


def _losses(rows: Sequence[Mapping[str, Any]], labels: Mapping[str, str]) -> tuple[tuple[Series, ...], bool]:
    """Return a line for each column of losses, labelled ones first, and whether a logarithmic axis suits them."""
    columns = dict.fromkeys((*labels, *(column for row in rows for column in row if _LOSS.fullmatch(column))))
    log = all((number(row.get(column)) or 0) >= 0 for row in rows for column in columns)
    found = {labels.get(column, column): _values(rows, column, positive=log) for column in columns}
    return tuple(mean_series(name, units) for name, units in found.items() if units), log


def _scale(lines: Sequence[Series], units: str, *, log: bool) -> str:
    count = max((line.units for line in lines), default=0)
    return (", logarithmic scale" if log else "") + (f", mean over {count} {units}" if count > 1 else "")


def _students(rows: Sequence[Mapping[str, Any]]) -> list[Plot]:
    """Return one panel per setting, because sets are comparable only under the same setting."""
    field = "top1" if any(number(row.get("top1")) is not None for row in rows) else "loss"
    panels: dict[str, dict[str, dict[str, dict[float, float]]]] = {}
    for unit, points in _values(rows, field, positive=field == "loss").items():
        match = _STUDENT.fullmatch(unit)
        of, setting = (match["of"], match["setting"] + (match["hard"] or "")) if match else (unit, "")
        panels.setdefault(setting, {}).setdefault(of, {})[unit] = points
    label = "top-1, %" if field == "top1" else "loss"
    return [
        Plot(
            key=f"students-{index}",
            title="Students" + (f": {setting.replace(' ', ', ')}" if setting else ""),
            note="Real images, not trained on; the band spans the seeds." if field == "top1" else "Training loss.",
            x_label=_axis(rows),
            y_label=label,
            series=tuple(
                mean_series(set_title(of), units, baseline=of == BASELINE) for of, units in baseline_last(sets)
            ),
            log=field == "loss",
        )
        for index, (setting, sets) in enumerate(list(panels.items())[:PANELS])
    ]


def baseline_last(sets: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return sets by name in stored order, random images and pools of real images last."""
    return sorted(sets.items(), key=lambda item: (is_pool(item[0]), item[0] == BASELINE))


def _values(rows: Sequence[Mapping[str, Any]], field: str, *, positive: bool) -> dict[str, dict[float, float]]:
    """Return y by x by unit; of a step that a resumed run repeated, the last row counts.

    A row without an x, such as a stage's closing figure, is not a point of a curve.
    """
    axis = _axis(rows)
    rows_of: Counter[str] = Counter()
    units: dict[str, dict[float, float]] = {}
    for row in rows:
        unit = str(row.get("unit", ""))
        x, y = float(rows_of[unit]) if axis == "row" else number(row.get(axis)), number(row.get(field))
        rows_of[unit] += 1
        if x is not None and y is not None and (y > 0 or not positive):  # a logarithmic axis has no place for zero
            units.setdefault(unit, {})[x] = y
    return units


def _axis(rows: Sequence[Mapping[str, Any]]) -> str:
    names = {key for row in rows for key in ("step", "epoch") if number(row.get(key)) is not None}
    return "step" if "step" in names else "epoch" if "epoch" in names else "row"


def _thinned(xs: Sequence[float]) -> list[float]:
    stride = -(-len(xs) // POINTS) or 1
    kept = list(xs[::stride])
    return kept if not kept or kept[-1] == xs[-1] else [*kept, xs[-1]]
