"""Drawings for the page: plots as inline SVG in the page's colours, and one sprite of pictures per class."""

import base64
import io
import math
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator
from PIL import Image

from wmdd.report.collect import Plot, Series

LOSSLESS = 64
"""Pictures up to this side are shown pixel by pixel (PNG), larger ones as JPEG of side `LARGEST` at most."""
LARGEST = 128

# matplotlib writes fixed colours; each of these placeholders becomes a variable of the page's style sheet, which has
# a light and a dark value.
_INK, _MUTED, _LINE, _BASELINE, _LEVEL = "#010101", "#020202", "#030303", "#040404", "#050505"
_LINES = ("#060600", "#060601", "#060602", "#060603", "#060604", "#060605")
_DASHES: dict[str, tuple[str, Any]] = {
    "solid": ("o", "-"),
    "dotted": ("s", (0, (1.2, 1.6))),
    "dashed": ("^", (0, (4, 2))),
}
"""CSS line style → matplotlib's marker and line style."""
_VARIABLES = {
    _INK: "var(--ink)",
    _MUTED: "var(--muted)",
    _LINE: "var(--line)",
    _BASELINE: "var(--reference)",
    _LEVEL: "var(--level)",
    **{colour: f"var(--series-{index})" for index, colour in enumerate(_LINES)},
}
_STYLE: Any = {
    "svg.fonttype": "none",  # text stays text: it can be searched, read aloud and takes the page's font
    "text.parse_math": False,  # names come from users; a dollar sign is a dollar sign
    "font.size": 10,
    "text.color": _MUTED,
    "axes.labelcolor": _MUTED,
    "axes.edgecolor": _LINE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": _LINE,
    "grid.linewidth": 0.8,
    "xtick.color": _LINE,
    "xtick.labelcolor": _MUTED,
    "ytick.labelcolor": _MUTED,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
}


class LegendEntry(NamedTuple):
    """One line of a plot, for its legend and its table."""

    name: str
    variable: str
    """CSS colour."""
    dash: str
    """`"solid"`, `"dotted"` or `"dashed"`."""
    first: float
    lowest: float
    highest: float
    last: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A plot ready for the page."""

    plot: Plot
    svg: Markup
    legend: tuple[LegendEntry, ...]


def draw(plot: Plot) -> Drawing:
    """Draw a plot; equal plots give equal bytes, and no two plots of a page share an id."""
    with mpl.rc_context():
        mpl.rcdefaults()  # the user's matplotlibrc must not change the page
        mpl.rcParams.update({**_STYLE, "svg.hashsalt": plot.key})
        figure = Figure(figsize=(5.0, 2.9), layout="constrained")
        figure.patch.set_visible(False)
        axes = figure.add_subplot()
        axes.patch.set_visible(False)
        for series, (colour, dash) in zip(plot.series, _styles(plot.series), strict=True):
            _draw_line(axes, series, colour, dash)
        if plot.level is not None:
            axes.axhline(plot.level[1], color=_LEVEL, linewidth=1.4, linestyle=(0, (1.5, 2)))
        _finish(axes, plot)
        buffer = io.StringIO()
        with (
            warnings.catch_warnings()
        ):  # the reader's browser draws the text, from whichever of its fonts has the glyph
            warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
            figure.savefig(buffer, format="svg", metadata={"Date": None})
    return Drawing(plot=plot, svg=_inline(buffer.getvalue(), plot), legend=_legend(plot))


def _styles(series: Sequence[Series]) -> list[tuple[str, str]]:
    """Return each line's colour and dashes; after all colours have been used they repeat with other dashes."""
    free = iter([(colour, dash) for dash in _DASHES for colour in _LINES] * len(series))
    return [(_BASELINE, "dashed") if line.baseline else next(free) for line in series]


def _draw_line(axes: Axes, series: Series, colour: str, dash: str) -> None:
    shape, pattern = _DASHES[dash]
    marker = shape if len(series.x) <= 12 else ""
    axes.plot(series.x, series.y, color=colour, linestyle=pattern, marker=marker, markersize=3.5)
    if series.low:
        axes.fill_between(series.x, series.low, series.high, color=colour, alpha=0.14, linewidth=0)


def _finish(axes: Axes, plot: Plot) -> None:
    axes.set_xlabel(plot.x_label)
    axes.set_ylabel(plot.y_label)
    axes.margins(x=0.02, y=0.08)
    if plot.tick_labels:
        axes.set_xticks(range(len(plot.tick_labels)), plot.tick_labels)
        if max(map(len, plot.tick_labels)) > 3:
            axes.tick_params(axis="x", labelrotation=35)
            for label in axes.get_xticklabels():
                label.set(horizontalalignment="right", rotation_mode="anchor")
    elif plot.log_x:
        axes.set_xscale("log")
        _logarithmic(axes.xaxis, [x for series in plot.series for x in series.x])
    else:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(_tick))
    if plot.log:
        axes.set_yscale("log")
        _logarithmic(axes.yaxis, [v for series in plot.series for v in (*series.y, *series.low, *series.high)])
    else:
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
        axes.yaxis.set_major_formatter(FuncFormatter(_tick))


def _logarithmic(axis: Axis, values: Sequence[float]) -> None:
    decades = math.log10(max(values) / min(values))
    axis.set_major_locator(LogLocator(subs=(1.0,) if decades > 2 else (1.0, 2.0, 5.0)))
    axis.set_minor_formatter(NullFormatter())
    axis.set_minor_locator(NullLocator())
    if decades < 0.5:  # too flat for round powers: label it like an ordinary axis
        axis.set_major_locator(MaxNLocator(nbins=5))
    axis.set_major_formatter(FuncFormatter(_tick))


def _tick(value: float, _position: int | None = None) -> str:
    return f"{value:.10g}" if 1e-4 <= abs(value) < 1e5 else f"{value:.3g}"


def _legend(plot: Plot) -> tuple[LegendEntry, ...]:
    lines = [(s.name, *style, s.y) for s, style in zip(plot.series, _styles(plot.series), strict=True)]
    if plot.level is not None:
        name, value = plot.level
        lines.append((name, _LEVEL, "dotted", (value,)))
    return tuple(
        LegendEntry(name, _VARIABLES[colour], dash, ys[0], min(ys), max(ys), ys[-1]) for name, colour, dash, ys in lines
    )


def alternative(plot: Plot) -> str:
    """Describe a plot in words, for readers who cannot see it."""

    def at(x: float) -> str:
        return f"{plot.x_label} {plot.tick_labels[int(x)] if plot.tick_labels else f'{x:g}'}"

    parts = [f"{s.name} from {s.y[0]:.4g} at {at(s.x[0])} to {s.y[-1]:.4g} at {at(s.x[-1])}" for s in plot.series]
    if plot.level is not None:
        parts.append(f"{plot.level[0]} at {plot.level[1]:.4g}")
    return f"{plot.title}: {'; '.join(parts)}."


def _inline(svg: str, plot: Plot) -> Markup:
    """Turn matplotlib's file into part of a page: no prolog, no foreign addresses, own ids, the page's colours."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r' xmlns(:\w+)?="[^"]*"', "", body).replace("xlink:href", "href")
    body = re.sub(r'\bid="', f'id="{plot.key}-', body)
    body = re.sub(r"(href=\"|url\()#", rf"\g<1>#{plot.key}-", body)
    body = re.sub(r"font-family: [^;\"]*;? ?", "", body)
    for placeholder, variable in _VARIABLES.items():
        body = body.replace(placeholder, variable)
    view = re.search(r'viewBox="[^"]*"', body)
    inside = body[body.index(">") + 1 :]
    head = f'<svg {view[0] if view else ""} role="img" aria-labelledby="{plot.key}-title">'
    return Markup(f'{head}<title id="{plot.key}-title">{escape(alternative(plot))}</title>{inside}')  # noqa: S704


def sprite(pictures: Sequence[Image.Image]) -> str:
    """Return a class's pictures side by side as a data address: PNG up to `LOSSLESS` pixels, else JPEG."""
    side = min(max(pictures[0].size), LARGEST)
    grey = all(picture.mode in {"1", "L"} for picture in pictures)
    strip = Image.new("L" if grey else "RGB", (side * len(pictures), side))
    for index, picture in enumerate(pictures):
        cell = picture.convert(strip.mode)
        strip.paste(cell if cell.size == (side, side) else cell.resize((side, side)), (side * index, 0))
    kind, options = ("png", {"optimize": True}) if side <= LOSSLESS else ("jpeg", {"quality": 90, "subsampling": 0})
    buffer = io.BytesIO()
    strip.save(buffer, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
