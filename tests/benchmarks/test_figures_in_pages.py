"""Figures in pages, cards and recipes are those of the files of results."""

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
from benchmarks.agreement import draw
from benchmarks.figures import FIGURE, RESULTS, draw_bench, draw_labels, figure, main, pages, redraw
from tests.report.bench_results import make_bench, make_cell, score

from benchmarks import figures
from wmdd.errors import ConfigError
from wmdd.recipes import RECIPES
from wmdd.report.bench import Bench, summary

ACCURACY = re.compile(r"\d+\.\d ± \d+\.\d")


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_pages_are_as_their_files_are(page: Path) -> None:
    assert not redraw(page, write=False), "run make figures"


def test_no_result_is_of_code_with_uncommitted_changes() -> None:
    assert [path.name for path in RESULTS.rglob("*.json") if "-dirty" in path.read_text(encoding="utf-8")] == []


def test_accuracies_in_the_lab_book_and_on_recipes_cards_come_from_files() -> None:
    drawn = "".join(
        found[0] for page in pages() for found in FIGURE.finditer(page.read_text(encoding="utf-8"))
    ) + figure("runs first_runs_cpu2_2026-11-22.json digits cifar10")
    known = set(ACCURACY.findall(drawn))
    outside = FIGURE.sub("", (figures.ROOT / "docs/lab-book.md").read_text(encoding="utf-8"))
    cards = "".join(inspect.getdoc(make) or "" for make in RECIPES.values())
    assert set(ACCURACY.findall(outside + cards)) - known == set()


def test_bytes_of_labels_against_accuracy(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"row": "full", "bytes": 1000, "top1": [50.0, 52.0]}, {"row": "top 5", "bytes": 10, "top1": [49.0, 49.0]}]
    monkeypatch.setattr(figures, "read", lambda _: {"sets": [{"data": "pairs", "rows": rows}]})
    assert draw_labels("any.json", "pairs").splitlines()[2:] == [
        "| full | 1,000 | 1/1 | 51.0 ± 1.4 |",
        "| top 5 | 10 | 1/100 | 49.0 ± 0.0 |",
    ]


def test_a_bench_of_chosen_protocols() -> None:
    name = "bench_imagenette64_2026-11-22.json"
    both, one = draw_bench(name), draw_bench(name, "rded")
    assert "protocol wmdd" in both
    assert "protocol rded" in both
    assert "protocol wmdd" not in one
    assert name in one


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("pie chart", "unknown figure; got 'pie'; choose one of bench, runs"),
        ("bench nothing.json", "a figure is drawn from a file of benchmarks/results; got nothing.json"),
    ],
)
def test_a_figure_that_cannot_be_drawn(words: str, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        figure(words)


def _bench_of(rows: dict[str, float], name: str) -> Bench:
    cells = [make_cell(row, 10, 0, (), scores=[score(row, 10, 0, top1, protocol="rded")]) for row, top1 in rows.items()]
    listed = [{"name": row, "method": row, "settings": {}} for row in rows]
    return summary(make_bench(data={**make_bench()["data"], "name": name}, rows=listed, ipcs=[10], cells=cells))


def test_whether_two_data_sets_order_rows_alike() -> None:
    there = _bench_of({"random": 50.0, "wmdd": 60.0, "mmd": 61.0, "rded": 40.0, "sre2l": 55.0}, "large")
    here = _bench_of({"random": 30.0, "wmdd": 20.0, "mmd": 40.0, "rded": 10.0, "inversion": 35.0}, "small")
    lines = draw("rded", [there], [here], {"sre2l": "inversion"}).splitlines()
    assert lines[0] == "| method | large at 8 px, rded | small at 8 px, rded | place there |"
    assert [line.split(" | ")[0].lstrip("| ") for line in lines[2:7]] == [
        *("MMD", "WMDD", "SRe2L", "random real images", "RDED"),
    ]
    assert [line.rstrip("| ").split(" | ")[-1] for line in lines[2:7]] == ["1", "4", "2", "3", "5"]
    assert lines[-1].startswith("Spearman's ρ of the two orders, 5 rows: 0.70 [")


def test_no_order_of_a_single_row() -> None:
    one = _bench_of({"random": 50.0}, "any")
    with pytest.raises(ConfigError, match="an order is that of two rows or more; got 1 under 'rded' in both benches"):
        draw("rded", [one], [one], {})


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    page = tmp_path / "page.md"
    page.write_text("before\n\n<!-- figure: search -->\nold\n<!-- figure ends -->\n\nafter\n", encoding="utf-8")
    monkeypatch.setattr(figures, "ROOT", tmp_path)
    monkeypatch.setattr(figures, "pages", lambda: [page])
    monkeypatch.setitem(figures.FIGURES, "search", lambda: "new\n")
    return page


def test_the_command_draws_what_differs(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = page.read_text(encoding="utf-8")
    assert main(["--check"]) == 1
    assert page.read_text(encoding="utf-8") == old
    assert main([]) == 0
    assert page.read_text(encoding="utf-8") == (
        "before\n\n<!-- figure: search -->\n\nnew\n\n<!-- figure ends -->\n\nafter\n"
    )
    assert main(["--check"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "page.md: differs from its files; run make figures",
        "page.md: drawn",
    ]


def test_a_mark_without_an_end(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page.write_text("<!-- figure: search -->\nold\n", encoding="utf-8")
    assert main([]) == 2
    assert capsys.readouterr().err.startswith("figures: every figure of a page ends; got one in page.md that does not")


def test_pages_of_methods_show_what_was_measured() -> None:
    shown: dict[str, Any] = {
        page.stem: page.read_text(encoding="utf-8") for page in pages() if page.parent.name == "methods"
    }
    assert all(f"<!-- figure: method {name} -->" in text for name, text in shown.items())
