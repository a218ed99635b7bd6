"""From the rows of `log.jsonl` and the numbers of `metrics.json` to the curves that the page shows; opens no file."""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

POINTS = 240
"""A curve is thinned to about this many points: more cannot be seen and would only make the page heavier."""
PANELS = 6
"""Student settings that get a panel of their own."""
REFERENCE = "random"
"""The set that every other one is compared with."""

_NAMES = {
    **{name: name.upper() for name in ("wmdd", "cda", "rded", "dm", "dc", "dsa", "mtt", "dd", "kip", "mmd")},
    **{"sre2l": "SRe2L", "scdd": "SC-DD", "gvbsm": "G-VBSM", REFERENCE: "random real images"},
}
_SEED = re.compile(r"^(?P<rest>.+?) seed (?P<seed>\d+)$")

RECOVERIES = ("recover", "invert", "gvbsm")
"""Stages that optimise images under a teacher; a run has one of them at most."""


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
    reference: bool = False
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
    places: tuple[str, ...] = ()
    """Names of x = 0, 1, ..., where x is not an amount."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRows:
    """The readable rows of a log, and how many lines were not readable."""

    rows: tuple[Mapping[str, Any], ...] = ()
    skipped: int = 0


def number(value: object) -> float | None:
    """Return a finite number as float, and None for everything else (NaN, text, truth values, nothing)."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def name_of(method: str) -> str:
    """Return a method's name as papers write it."""
    return _NAMES.get(method, method)


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


def curves(rows: Iterable[Mapping[str, Any]]) -> list[Plot]:
    """Return the plots that the log has numbers for: teacher, recovery, students, in this order.

    A line needs two points: a teacher that was brought along has an accuracy, but no curve.
    """
    by_stage: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_stage.setdefault(str(row["stage"]), []).append(row)
    plots = [
        *_teacher(by_stage.get("squeeze", [])),
        *_recovery([row for stage in RECOVERIES for row in by_stage.get(stage, [])]),
        *_students(by_stage.get("evaluate", [])),
    ]
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
    return Plot(
        key="barycenter",
        title="Barycenter cost",
        note=f"Squared Wasserstein distance to the real features, mean over {_count(len(traces), 'class', 'classes')}.",
        x_label="iteration",
        y_label="cost",
        series=(merged("cost", padded),),
        level=None if floor is None else ("floor (k-means run to convergence)", floor),
    )


def merged(name: str, units: Mapping[str, Mapping[float, float]], *, reference: bool = False) -> Series:
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
        reference=reference,
    )


def _teacher(rows: Sequence[Mapping[str, Any]]) -> list[Plot]:
    wanted = (("top1", "Teacher accuracy", "top-1, %", False), ("loss", "Teacher training loss", "loss", True))
    plots: list[Plot] = []
    for field, title, label, log in wanted:
        units = _values(rows, field, positive=log)
        if units:
            line = merged(field, units)
            note = "Real validation images." if field == "top1" else "Real training images, logarithmic scale."
            plots.append(Plot(key=f"squeeze-{field}", title=title, note=note, x_label=_axis(rows), y_label=label,
                              series=(line,), log=log))  # fmt: skip
    return plots


def _recovery(rows: Sequence[Mapping[str, Any]]) -> list[Plot]:
    names = {"loss": "total", "feature_loss": "feature term", "bn_loss": "BatchNorm term"}
    found = {name: _values(rows, field, positive=True) for field, name in names.items()}
    lines = tuple(merged(name, units) for name, units in found.items() if units)
    if not lines:
        return []
    groups = max(line.units for line in lines)
    note = "Loss of the images, logarithmic scale" + (f", mean over {groups} groups of classes." if groups > 1 else ".")
    return [Plot(key="recover", title="Recovery losses", note=note, x_label=_axis(rows), y_label="loss", series=lines,
                 log=True)]  # fmt: skip


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
            series=tuple(merged(name_of(of), units, reference=of == REFERENCE) for of, units in _reference_last(sets)),
            log=field == "loss",
        )
        for index, (setting, sets) in enumerate(list(panels.items())[:PANELS])
    ]


def _reference_last(sets: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return sorted(sets.items(), key=lambda item: item[0] == REFERENCE)


def _values(rows: Sequence[Mapping[str, Any]], field: str, *, positive: bool) -> dict[str, dict[float, float]]:
    """Return y by x by unit; of a step that a resumed run repeated, the last row counts.

    A row without a place on the axis, such as a stage's closing figure, is no point of a curve.
    """
    axis = _axis(rows)
    units: dict[str, dict[float, float]] = {}
    for index, row in enumerate(rows):
        x, y = float(index) if axis == "row" else number(row.get(axis)), number(row.get(field))
        if x is None or y is None or (positive and y <= 0):  # a logarithmic axis has no place for zero
            continue
        units.setdefault(str(row.get("unit", "")), {})[x] = y
    return units


def _axis(rows: Sequence[Mapping[str, Any]]) -> str:
    names = {key for row in rows for key in ("step", "epoch") if number(row.get(key)) is not None}
    return "step" if "step" in names else "epoch" if "epoch" in names else "row"


def _thinned(xs: Sequence[float]) -> list[float]:
    stride = -(-len(xs) // POINTS) or 1
    kept = list(xs[::stride])
    return kept if not kept or kept[-1] == xs[-1] else [*kept, xs[-1]]


def _count(n: int, one: str, many: str) -> str:
    return f"{n} {one if n == 1 else many}"
