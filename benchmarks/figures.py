"""Draw the figures of the pages from the files of results: `make figures`.

A page names what stands in it, between two marks:

    <!-- figure: bench bench_testbed_2026-11-30.json -->
    (drawn)
    <!-- figure ends -->

| figure | what is drawn |
|---|---|
| `bench FILE [PROTOCOL ...]` | the tables of a bench, as in its `bench.md`; of some protocols only |
| `runs FILE NAME ...` | what some runs of a file of `metrics.json` found |
| `losses FILE` | which losses of a bench predict what students reach |
| `labels FILE DATA` | bytes of soft labels against accuracy: a file of `benchmarks/label_sizes.py` |
| `borders FILE` | how colourful the borders of images are: a file of `benchmarks/borders.py` |
| `efficiency FILE` | seconds and memory of an iteration: a file of `benchmarks/efficiency.py` |
| `method NAME` | what a method reached in every bench, random real images beside |
| `search FOLDER` | the table of a search by `benchmarks/search` |
| `agreement PROTOCOL FILE[,FILE] FILE[,FILE] [ROW=ROW ...]` | whether benches of two data sets order rows alike |

Rows of `agreement` that have two names are LEFT=RIGHT; LEFT=none leaves one out.

python -m benchmarks.figures            # draw all pages again
python -m benchmarks.figures --check    # exit 1 where a page and its files differ
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from benchmarks.markdown import table
from benchmarks.search.state import read_states
from benchmarks.search.table import draw as draw_search

from benchmarks import agreement
from wmdd.artifacts.files import write_bytes
from wmdd.errors import ConfigError, WmddError
from wmdd.evaluation.rows import BASELINE
from wmdd.report import prediction
from wmdd.report.bench import Bench, Panel, summary
from wmdd.report.bench_page import panel_markdown
from wmdd.report.tables import set_title, summary_rows
from wmdd.report.templates import ABSENT

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks/results"
FIGURE = re.compile(r"(<!-- figure: ([^\n]+?) -->\n).*?(<!-- figure ends -->)", re.DOTALL)
OPEN = re.compile(r"<!-- figure: ")


def main(words: Sequence[str] | None = None) -> int:
    """Carry out a command line and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 where a page is not as its files are"
    )
    given = parser.parse_args(words)
    try:
        stale = [page for page in pages() if redraw(page, write=not given.check)]
    except WmddError as error:
        print(f"figures: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    for page in stale:
        print(f"{page.relative_to(ROOT)}: {'differs from its files; run make figures' if given.check else 'drawn'}")
    return 1 if given.check and stale else 0


def pages() -> list[Path]:
    """Return the pages that may hold figures."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def redraw(page: Path, *, write: bool) -> bool:
    """Draw the figures of a page; return whether it was not as its files are.

    Raises:
        ConfigError: a figure is unknown, its file does not exist, or a mark has no end.
    """
    text = page.read_text(encoding="utf-8")
    if len(OPEN.findall(text)) != len(FIGURE.findall(text)):
        raise ConfigError(
            f"every figure of a page ends; got one in {page.name} that does not; add <!-- figure ends -->"
        )
    drawn = FIGURE.sub(lambda found: f"{found[1]}\n{figure(found[2])}\n{found[3]}", text)
    if write and drawn != text:
        write_bytes(page, drawn.encode())
    return drawn != text


def figure(words: str) -> str:
    """Return the figure that a mark names, as Markdown with a line break at its end."""
    kind, *given = words.split()
    if kind not in FIGURES:
        raise ConfigError(f"unknown figure; got {kind!r}; choose one of {', '.join(FIGURES)}")
    return FIGURES[kind](*given)


def read(name: str) -> dict[str, Any]:
    """Read a file of results."""
    path = RESULTS / name
    if not path.is_file():
        raise ConfigError(
            f"a figure is drawn from a file of {RESULTS.relative_to(ROOT)}; got {name}, which is not there"
        )
    return dict(json.loads(path.read_bytes()))


@cache
def bench_of(name: str) -> Bench:
    """Read a bench among the results, once for all figures."""
    return summary(read(name))


def draw_bench(name: str, *protocols: str) -> str:
    """Return the tables of a bench; docs/bench.md says how to read them."""
    bench = bench_of(name)
    chosen = [panel for panel in bench.panels if not protocols or panel.protocol.partition(",")[0] in protocols]
    parts = [f"**{panel.title}**\n\n{panel_markdown(panel, bench)}" for panel in chosen]
    return "\n".join([*parts, f"{_origin(name, bench)}\n"])


def _origin(name: str, bench: Bench) -> str:
    run = bench.results["run"]
    return f"`{run['command']}` at {run['commit'][:7]}, rows in `{name}`."


def draw_runs(name: str, *chosen: str) -> str:
    """Return what some runs found."""
    found = {run["name"]: run for run in read(name)["runs"]}
    rows = [
        (f"`{run['run']['command']}`", set_title(row.set), f"{row.student}, protocol {row.protocol}", row.text)
        for run in map(found.__getitem__, chosen)
        for row in summary_rows(run)
    ]
    return table(("command", "set", "student, protocol", "top-1"), rows, left=3) + f"\nRows in `{name}`.\n"


def draw_losses(name: str) -> str:
    """Return which losses of a bench predict what students reach."""
    found = prediction.of_results(read(name))
    parts = [
        f"**{prediction.setting(each)}**\n\n{table(prediction.columns(each), prediction.lines(each))}\n"
        f"{prediction.sentence(each)}\n"
        for each in found
    ]
    return "\n".join([*parts, f"{prediction.caption(found)}\n"])


def draw_labels(name: str, data: str) -> str:
    """Return bytes of soft labels against accuracy on one data set."""
    (found,) = (each for each in read(name)["sets"] if each["data"] == data)
    whole = found["rows"][0]["bytes"]
    rows = [
        (
            row["row"],
            f"{row['bytes']:,}",
            f"1/{whole / row['bytes']:.3g}",
            f"{mean(row['top1']):.1f} ± {stdev(row['top1']):.1f}",
        )
        for row in found["rows"]
    ]
    return table(("labels", "bytes", "share of `full`", "top-1"), rows)


def draw_borders(name: str) -> str:
    """Return how colourful images are at their borders and in their middle."""
    found = read(name)["rows"]
    rows = [(set_title(row), *(f"{mean(colours):.1f}" for colours in places.values())) for row, places in found.items()]
    return table(("images", "border", "next to it", "middle"), rows) + f"\nRows in `{name}`.\n"


def draw_efficiency(name: str) -> str:
    """Return seconds and memory of an iteration of each method, times as multiples of the first one's."""
    from benchmarks.efficiency import table as draw_rounds  # noqa: PLC0415 - other figures need no torch

    found = read(name)
    commit = found["versions"]["commit"][:7]
    return (
        f"{draw_rounds(found['rounds'])}\n\nMedians of {found['settings']['rounds']} rounds at {commit}, in `{name}`.\n"
    )


def draw_method(name: str) -> str:
    """Return what a method reached in every bench, random real images beside; what several benches hold once."""
    files: dict[tuple[str, ...], list[str]] = {}
    for path in sorted(RESULTS.glob("bench_*.json")):
        bench = bench_of(path.name)
        for panel in bench.panels:
            for line in _reached(name, bench, panel):
                files.setdefault(line, []).append(f"`{path.name}`")
    if not files:
        return "Not measured yet.\n"
    rows = [(*line, ", ".join(names)) for line, names in files.items()]
    head = ("data", "IPC", "student, protocol, labels", "settings", "top-1", "random real images", "rows in")
    return table(head, rows, left=4)


def _reached(name: str, bench: Bench, panel: Panel) -> Iterator[tuple[str, ...]]:
    rows = {row.name: row.accuracies for row in panel.rows}
    settings = next((row["settings"] for row in bench.results["rows"] if row["name"] == name), {})
    said = ", ".join(f"{setting} {value}" for setting, value in settings.items()) or "the recipe's"
    data = f"{bench.results['data']['name']}, {bench.results['data']['image_size']} px"
    for ipc in bench.ipcs:
        found, random = (rows.get(row, {}).get(ipc) for row in (name, BASELINE))
        if found is not None:
            beside = ABSENT if random is None or name == BASELINE else random.text
            yield data, str(ipc), panel.title, said, found.text, beside


def draw_table_of_search(folder: str) -> str:
    """Return the table of a search, or that nothing is measured."""
    states = read_states(RESULTS / folder)
    return draw_search(states) if states else "Nothing is measured yet.\n"


def draw_agreement(protocol: str, left: str, right: str, *renamed: str) -> str:
    """Return the rows that benches of two data sets share, and whether they are in the same order."""
    files = left.split(","), right.split(",")
    there, here = ([bench_of(name) for name in names] for names in files)
    drawn = agreement.draw(protocol, there, here, dict(pair.split("=") for pair in renamed))
    return f"{drawn}\nRows in {', '.join(f'`{name}`' for names in files for name in names)}.\n"


FIGURES: dict[str, Callable[..., str]] = {
    "bench": draw_bench,
    "runs": draw_runs,
    "losses": draw_losses,
    "labels": draw_labels,
    "borders": draw_borders,
    "efficiency": draw_efficiency,
    "method": draw_method,
    "search": draw_table_of_search,
    "agreement": draw_agreement,
}

if __name__ == "__main__":
    sys.exit(main())
