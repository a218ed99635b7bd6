"""A bench as one page, with plots against images per class, bytes and seconds, images, and tables of other networks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wmdd.artifacts.files import write_bytes
from wmdd.evaluation.comparison import is_reference
from wmdd.evaluation.rows import number
from wmdd.evaluation.tested import kind_tested
from wmdd.methods.catalogue import title_of
from wmdd.report import prediction
from wmdd.report.bench import Bench, Panel, read_bench
from wmdd.report.bench_images import RowImages, draw_images, read_images
from wmdd.report.bench_tables import (
    COLUMNS,
    beside,
    finding,
    notes,
    table_lines,
    warnings,
    worth_columns,
    worth_lines,
)
from wmdd.report.collect import PANELS, Plot, Series, slug
from wmdd.report.figures import draw
from wmdd.report.templates import render
from wmdd.report.worth import curve_plot

_TABLES: dict[str, Any] = {
    "columns": COLUMNS,
    "table_lines": table_lines,
    "beside": beside,
    "worth_columns": worth_columns,
    "worth_lines": worth_lines,
}
"""What the tables of a panel are drawn with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heatmap:
    """Accuracy by row and student, under one protocol at one number of images per class."""

    title: str
    students: tuple[str, ...]
    rows: tuple[tuple[str, tuple[float | None, ...]], ...]
    low: float
    high: float

    def share(self, value: float) -> float:
        """Return the position of a value between the lowest and the highest of the table, in per cent."""
        return 100 * (value - self.low) / (self.high - self.low) if self.high > self.low else 50.0


def write_bench(folder: Path) -> Path:
    """Write `bench.md`, `bench.tex`, `bench.html` and `images.png` from a bench's results; equal results, equal bytes.

    Returns:
        The path of the page.

    Raises:
        ArtifactError: the folder holds no readable `bench.json`, a set's images are damaged, or it cannot be written.
    """
    folder = Path(folder)
    bench = read_bench(folder)
    images = read_images(folder, bench)
    for name, text in render_bench(bench, images).items():
        write_bytes(folder / name, text.encode())
    if images:
        write_bytes(folder / "images.png", draw_images(images))
    return folder / "bench.html"


def render_bench(bench: Bench, images: Sequence[RowImages] = ()) -> dict[str, str]:
    """Return a bench as Markdown, LaTeX (needs the package booktabs) and HTML with images, by file name."""
    content: dict[str, Any] = {
        "bench": bench,
        "data": bench.results["data"],
        "teacher": bench.results["teacher"],
        "kind": kind_tested(bench.results["data"]),
        "top1": number(bench.results["teacher"].get("top1")),
        "run": bench.results["run"],
        "finding": finding(bench),
        "notes": notes(bench),
        **_TABLES,
        "title_of": title_of,
        "drawings": [draw(plot) for panel in bench.panels[:PANELS] for plot in plots(panel, bench)],
        "curves": [
            draw(plot)
            for panel in bench.panels[:PANELS]
            for block in panel.blocks.values()
            if (plot := curve_plot(block)) is not None
        ],
        "heatmaps": heatmaps(bench),
        "images": images,
        "warnings": warnings(bench),
        "predictions": prediction.of_results(bench.results),
        "prediction": prediction,
    }
    return {name: render(f"{name}.j2", **content) for name in ("bench.md", "bench.tex", "bench.html")}


def panel_markdown(panel: Panel, bench: Bench) -> str:
    """Return the tables of one panel, as they stand in `bench.md`."""
    return render("panel.md.j2", panel=panel, bench=bench, **_TABLES).strip() + "\n"


def plots(panel: Panel, bench: Bench) -> list[Plot]:
    """Return a panel's accuracy against images per class, bytes on disk and seconds, where these differ."""
    costs = bench.costs.items()
    kinds: list[tuple[str, str, str, Mapping[tuple[str, int], float]]] = [
        ("ipc", "images a class", "images a class", {(r.name, ipc): ipc for r in panel.rows for ipc in r.accuracies}),
        ("bytes", "size", "kB of images and labels", {at: (c.images + c.labels) / 1000 for at, c in costs}),
        ("seconds", "time", "seconds to make the images", {at: c.seconds for at, c in costs}),
    ]
    found = [
        Plot(
            key=slug(f"{key}-{panel.title}"),
            title=f"Accuracy against {what}",
            note=f"{panel.title}. The band is the spread between sets, or between the students of one set.",
            x_label=x_label,
            y_label="top-1, %",
            series=tuple(_lines(panel, places)),
            log_x=True,
        )
        for key, what, x_label, places in kinds
    ]
    return [plot for plot in found if len({x for series in plot.series for x in series.x}) > 1]


def _lines(panel: Panel, places: Mapping[tuple[str, int], float]) -> Iterator[Series]:
    """Yield a line for each row with points above zero on the axis, which is logarithmic."""
    for row in panel.rows:
        at = [(places.get((row.name, ipc), 0.0), accuracy) for ipc, accuracy in row.accuracies.items()]
        points = sorted((x, accuracy.mean, accuracy.spread or 0.0) for x, accuracy in at if x > 0)
        if points:
            yield Series(
                name=row.title,
                x=tuple(x for x, _, _ in points),
                y=tuple(mean for _, mean, _ in points),
                low=tuple(mean - spread for _, mean, spread in points),
                high=tuple(mean + spread for _, mean, spread in points),
                baseline=is_reference(row.name),
            )


def heatmaps(bench: Bench) -> list[Heatmap]:
    """Return tables of rows x students where several students were trained under one protocol."""
    settings: dict[tuple[str, str, str], list[Panel]] = {}
    for panel in bench.panels:
        settings.setdefault((panel.protocol, panel.labels, panel.teachers_of), []).append(panel)
    tables = [_heatmap(panels, bench, ipc) for panels in settings.values() if len(panels) > 1 for ipc in bench.ipcs]
    return [table for table in tables if table is not None]


def _heatmap(panels: list[Panel], bench: Bench, ipc: int) -> Heatmap | None:
    means = {
        (row.name, panel.student): row.accuracies[ipc].mean
        for panel in panels
        for row in panel.rows
        if ipc in row.accuracies and row.name in bench.rows
    }
    if not means:
        return None
    students = tuple(panel.student for panel in panels)
    return Heatmap(
        title=f"protocol {panels[0].protocol}, {panels[0].labels} labels, IPC {ipc}",
        students=students,
        rows=tuple(
            (row, tuple(means.get((row, student)) for student in students))
            for row in bench.rows
            if any((row, student) in means for student in students)
        ),
        low=min(means.values()),
        high=max(means.values()),
    )
