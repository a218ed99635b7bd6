"""Figures in pages, cards and recipes are those of the files of results."""

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
from benchmarks.figures import FIGURE, RESULTS, draw_bench, draw_labels, figure, main, pages, redraw

from benchmarks import figures
from wmdd.errors import ConfigError
from wmdd.recipes import RECIPES

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
