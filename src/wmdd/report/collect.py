"""From the rows of `log.jsonl` and the numbers of `metrics.json` to the curves that the page shows; opens no file."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from wmdd.evaluation.comparison import BASELINE, number
from wmdd.methods.catalogue import losses_of, title_of

POINTS = 240
"""A curve is thinned to about this many points: more cannot be seen and would only make the page heavier."""
PANELS = 6
"""Student settings that get a panel of their own."""
EVALUATION_STAGES = frozenset({"relabel", "evaluate", "diagnose", "full_data"})
"""Stages that come after the images, whatever made these."""

_SEED = re.compile(r"^(?P<rest>.+?) seed (?P<seed>\d+)$")
_LOSS = re.compile(r"(?:.+_)?loss")
"""Columns of losses, also of a stage that no card describes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One line of a plot: the mean over its units, and between which values the units lie."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    """Smallest value over the units at each `x`; empty where there is a single unit."""
    high: tuple[float, ...] = ()
    units: int = 1
    baseline: bool = False
    """Drawn as what others are compared with: grey and dashed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """What one figure shows, before it is drawn."""

    key: str
    """Unique on the page; becomes part of the ids inside the drawing."""
    title: str
    note: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    log: bool = False
    log_x: bool = False
    """Whether equal factors in x are equally far apart."""
    level: tuple[str, float] | None = None
    """Name and height of a horizontal line."""
    tick_labels: tuple[str, ...] = ()
    """Names of x = 0, 1, ..., where x is not an amount."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRows:
    """The readable rows of a log, and how many lines were not readable."""

    rows: tuple[Mapping[str, Any], ...] = ()
    skipped: int = 0


def slug(text: str) -> str:
    """Return `text` as part of an id on a page."""
    return "".join(letter if letter.isalnum() else "-" for letter in text)


def parse_log(text: str) -> LogRows:
    """Read one JSON object a line; a line torn by a kill, wherever it stands, is counted and left out."""
    rows: list[Mapping[str, Any]] = []
    skipped = 0
    for line in filter(None, map(str.strip, text.splitlines())):
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if isinstance(row, dict) and "stage" in row:
            rows.append(row)
        else:
            skipped += 1
    return LogRows(rows=tuple(rows), skipped=skipped)


def curves(rows: Iterable[Mapping[str, Any]], method: str = "") -> list[Plot]:
    """Return the plots that the log has numbers for: the stages that lead to the images in stored order, then students.

    A line needs two points: a teacher that was brought along has an accuracy, but no curve.

    Args:
        rows: those of the log.
        method: name of the run's method, whose card says how the losses of its images are called.
    """
    by_stage: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_stage.setdefault(str(row["stage"]), []).append(row)
    making = {stage: found for stage, found in by_stage.items() if stage not in EVALUATION_STAGES}
    plots = [plot for stage, found in making.items() for plot in _stage_plots(stage, found, losses_of(method))]
    plots += _students(by_stage.get("evaluate", []))
    return [plot for plot in plots if any(len(series.x) > 1 for series in plot.series)]


def barycenter_plot(barycenter: Mapping[str, Any]) -> Plot | None:
    """Return the mean over classes of the barycenter's cost per iteration, or None without traces.

    A class that stopped early keeps its last cost, so that every iteration is a mean over all classes.
    """
    traces = [[v for v in map(number, trace) if v is not None] for trace in barycenter.get("traces") or ()]
    traces = [trace for trace in traces if trace]
    if not traces:
        return None
    steps = range(max(map(len, traces)))
    padded = {f"class {k}": {float(i): trace[min(i, len(trace) - 1)] for i in steps} for k, trace in enumerate(traces)}
    floor = number(barycenter.get("floor_mean"))
    classes = "1 class" if len(traces) == 1 else f"{len(traces)} classes"
    return Plot(
        key="barycenter",
        title="Barycenter cost",
        note=f"Squared Wasserstein distance to the real features, mean over {classes}.",
        x_label="iteration",
        y_label="cost",
        series=(mean_series("cost", padded),),
        level=None if floor is None else ("floor (k-means run to convergence)", floor),
    )


def mean_series(name: str, units: Mapping[str, Mapping[float, float]], *, baseline: bool = False) -> Series:
    """Return the mean over units at every x that some unit has, thinned, with the band between the extremes."""
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
    """Return a stage's plots; units whose names differ in more than numbers measure different things: drawn apart.

    What goes by epochs trains a network; everything else optimises images.
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
            plots += _optimisation(key, f": {kind}" if len(kinds) > 1 else "", part, labels)
    return plots


def _training(key: str, network: str, rows: Sequence[Mapping[str, Any]]) -> list[Plot]:
    accuracy = _values(rows, "top1", positive=False)
    lines, log = _losses(rows, {})
    return [
        Plot(key=f"{key}-top1", title=f"{network} accuracy", note="Real validation images.", x_label=_axis(rows),
             y_label="top-1, %", series=(mean_series("top1", accuracy),)),
        Plot(key=f"{key}-loss", title=f"{network} training loss", x_label=_axis(rows), y_label="loss", series=lines,
             note=f"Real training images{_scale(lines, 'networks', log=log)}.", log=log),
    ]  # fmt: skip


def _optimisation(key: str, kind: str, rows: Sequence[Mapping[str, Any]], labels: Mapping[str, str]) -> list[Plot]:
    lines, log = _losses(rows, labels)
    title = "Recovery losses" if len(lines) > 1 else "Distillation loss"  # a recovery logs the terms of its loss too
    note = f"Loss of the images{_scale(lines, 'groups of classes', log=log)}."
    return [
        Plot(key=key, title=f"{title}{kind}", note=note, x_label=_axis(rows), y_label="loss", series=lines, log=log)
    ]


def _losses(rows: Sequence[Mapping[str, Any]], labels: Mapping[str, str]) -> tuple[tuple[Series, ...], bool]:
    """Return a line for each column of losses, those with a label first, and whether a logarithmic axis suits them."""
    columns = dict.fromkeys((*labels, *(column for row in rows for column in row if _LOSS.fullmatch(column))))
    log = all((number(row.get(column)) or 0) >= 0 for row in rows for column in columns)
    found = {labels.get(column, column): _values(rows, column, positive=log) for column in columns}
    return tuple(mean_series(name, units) for name, units in found.items() if units), log


def _scale(lines: Sequence[Series], units: str, *, log: bool) -> str:
    count = max((line.units for line in lines), default=0)
    return (", logarithmic scale" if log else "") + (f", mean over {count} {units}" if count > 1 else "")


def _students(rows: Sequence[Mapping[str, Any]]) -> list[Plot]:
    """One panel a setting, because two sets are compared only under one setting."""
    field = "top1" if any(number(row.get("top1")) is not None for row in rows) else "loss"
    panels: dict[str, dict[str, dict[str, dict[float, float]]]] = {}
    for unit, points in _values(rows, field, positive=field == "loss").items():
        match = _SEED.match(unit)
        of, _, setting = (match["rest"] if match else unit).partition(" ")
        panels.setdefault(setting, {}).setdefault(of, {})[unit] = points
    label = "top-1, %" if field == "top1" else "loss"
    return [
        Plot(
            key=f"students-{index}",
            title="Students" + (f": {setting.replace(' ', ', ')}" if setting else ""),
            note="Real validation images; the band spans the seeds." if field == "top1" else "Training loss.",
            x_label=_axis(rows),
            y_label=label,
            series=tuple(
                mean_series(title_of(of), units, baseline=of == BASELINE) for of, units in baseline_last(sets)
            ),
            log=field == "loss",
        )
        for index, (setting, sets) in enumerate(list(panels.items())[:PANELS])
    ]


def baseline_last(sets: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return sets by name in their order, random images last."""
    return sorted(sets.items(), key=lambda item: item[0] == BASELINE)


def _values(rows: Sequence[Mapping[str, Any]], field: str, *, positive: bool) -> dict[str, dict[float, float]]:
    """Return y by x by unit; of a step that a resumed run repeated, the last row counts.

    A row without a place on the axis, such as a stage's closing figure, is no point of a curve.
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
