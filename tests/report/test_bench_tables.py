"""A bench in numbers and in words: spread between sets, level rows in bold, costs, and what is missing says so."""

import json
import re
from pathlib import Path
from statistics import stdev
from typing import Any

import pytest
from bench_results import make_bench, make_cell, score

from wmdd.errors import ArtifactError
from wmdd.report.bench import read_bench, summary
from wmdd.report.bench_page import heatmaps, plots, render_bench, write_bench
from wmdd.report.bench_tables import finding, notes, table_lines, warnings


def test_the_spread_is_that_between_sets() -> None:
    found = summary(make_bench()).panels[0].rows[0].accuracies[1]
    assert (found.mean, found.n) == (63.0, 4)
    assert found.spread == pytest.approx(stdev([61.0, 65.0]))
    assert found.text == "63.0 ± 2.8 (2 × 2)"


def test_cells_with_equal_images_are_one_set() -> None:
    cells = [make_cell("random", 1, seed, (50.0 + seed, 52.0)) for seed in range(3)]
    for cell in cells:
        for each in cell["scores"]:
            each["images"] = "5eed"
    assert summary(make_bench(cells=cells)).panels[0].rows[0].accuracies[1].text == "51.5 ± 0.8 (1 × 6)"


def test_what_cannot_be_told_from_the_highest_of_a_column_is_level_with_it() -> None:
    cells = [
        make_cell(row, 1, seed, (top + seed + noise * (seed == 1),))
        for row, top, noise in (("random", 50.0, 0.1), ("dm", 60.0, 0.0), ("wmdd", 59.9, 0.3))
        for seed in range(3)
    ]
    (panel,) = summary(make_bench(cells=cells)).panels
    assert {row.name: row.accuracies[1].level for row in panel.rows} == {"random": False, "dm": True, "wmdd": True}


def test_costs_are_those_of_making_the_images() -> None:
    bench = summary(make_bench())
    cost = bench.costs["dm", 10]
    assert (cost.seconds, cost.memory) == (100.5, 20_000_000)
    assert (cost.images, cost.labels) == (10_000, 50_000)
    assert ("wmdd", 1) not in bench.costs


def test_random_images_beside_a_row_count_where_their_own_row_has_none() -> None:
    own = make_cell("mtt", 1, 0, (70.0,))
    own["scores"][0]["protocol"] = "own"
    own["beside"] = [score("random", 1, 0, 40.0, protocol="own"), score("random", 1, 0, 99.0)]
    rows = [{"name": name, "method": name, "settings": {}} for name in ("random", "mtt")]
    bench = summary(make_bench(rows=rows, cells=[make_cell("random", 1, 0, (60.0,)), own]))
    found = {(panel.protocol, row.name): row.accuracies[1].mean for panel in bench.panels for row in panel.rows}
    assert found == {("dc", "random"): 60.0, ("own", "mtt"): 70.0, ("own", "random"): 40.0}


def own_labels() -> dict[str, Any]:
    """Return a bench whose row `gvbsm` has teachers of its own, and `dm` those that all share."""
    cells = [make_cell("random", 1, 0, (60.0, 62.0)), make_cell("dm", 1, 0, (70.0, 72.0)),
             make_cell("gvbsm", 1, 0, (80.0, 82.0))]  # fmt: skip
    cells[1]["beside"] = [score("random", 1, seed, top1) for seed, top1 in enumerate((60.0, 62.0))]
    cells[2]["beside"] = [score("random", 1, seed, top1) for seed, top1 in enumerate((77.0, 79.0))]
    for cell, teachers in zip(cells, ("one", "one", "four"), strict=True):
        for row in (*cell["scores"], *cell["beside"]):
            row |= {"labelled_by": teachers, "fingerprint": f"rules of {teachers}"}
    rows = [{"name": name, "method": name, "settings": {}} for name in ("random", "dm", "gvbsm")]
    return make_bench(rows=rows, cells=cells, ipcs=[1])


def test_rows_with_teachers_of_their_own_have_a_table_with_random_images_under_the_same() -> None:
    bench = summary(own_labels())
    shared, own = bench.panels
    assert [line.title for line in table_lines(shared, bench)] == ["random real images", "DM"]
    assert [(row.name, row.accuracies[1].mean) for row in own.rows] == [("random", 78.0), ("gvbsm", 81.0)]
    assert own.title.endswith("labels of the teachers of G-VBSM")
    texts = render_bench(bench)
    for text in (texts["bench.md"], texts["bench.html"]):
        assert "labels of the teachers of G-VBSM" in text
    assert "the highest mean is that of DM" in finding(bench)


def test_rows_that_depart_from_the_protocol_say_so_and_have_a_table_of_their_own() -> None:
    cells = [make_cell("random", 1, 0, (60.0, 62.0)), make_cell("dm", 1, 0, (70.0, 72.0))]
    for row in cells[1]["scores"]:
        row |= {"departs": "60 epochs, whole views", "fingerprint": "x"}
    cells[1]["beside"] = []
    bench = summary(make_bench(cells=cells, ipcs=[1]))
    whole, departing = bench.panels
    assert "60 epochs" not in whole.title
    assert "60 epochs, whole views" in departing.title
    assert "60 epochs, whole views" in render_bench(bench)["bench.md"]


def test_markdown_is_a_table() -> None:
    text = render_bench(summary(make_bench()))["bench.md"]
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in table} == {8}
    assert table[0] == "| method | IPC 1 | IPC 10 | time | memory | images | labels |"
    assert (
        table[3]
        == "| DM | **73.0 ± 2.8 (2 × 2)** | **91.5 ± 0.7 (2 × 2)** | 1 min 40 s | 20.0 MB | 10.0 kB | 50.0 kB |"
    )
    assert table[4].startswith("| WMDD | – | 86.5 ± 0.7 (2 × 2) |")
    assert "- WMDD, IPC 1, seed 0: too_few images & <no> \\| memory" in text
    assert "99.7 %" in text


def test_warnings_stand_below_the_tables_with_their_rows() -> None:
    said = [
        {"kind": "data", "text": "3 <files> | left out", "count": 3},
        {"kind": "data", "text": "all grey", "count": 1},
    ]
    cells = [make_cell("random", 1, 0, (60.0,), warnings=said[:1]),
             make_cell("dm", 1, 0, (70.0,), warnings=said), make_cell("dm", 1, 1, (71.0,), warnings=said)]  # fmt: skip
    bench = summary(make_bench(cells=cells))
    assert warnings(bench) == ["3 <files> | left out", "all grey (DM: 2 sets)"]
    texts = render_bench(bench)
    assert "## Warnings\n\n- 3 <files> \\| left out\n- all grey (DM: 2 sets)\n" in texts["bench.md"]
    assert '<p class="notice"><strong>Warning.</strong> 3 &lt;files&gt; | left out</p>' in texts["bench.html"]
    assert "Warning" not in render_bench(summary(make_bench()))["bench.md"]


def test_a_warning_whose_figures_alone_differ_stands_once() -> None:
    said = [f"wmdd: 4{seed}.5 ± 1 % beside 5{seed} % (convnet{seed // 2}), difference −{seed}.0" for seed in (0, 1, 2)]
    cells = [make_cell("random", 1, 0, (60.0,))]
    cells += [make_cell("dm", 1, seed, (70.0,), warnings=[{"kind": "x", "text": said[seed]}]) for seed in (0, 1, 2)]
    first, other = warnings(summary(make_bench(cells=cells)))
    assert first == f"{said[0]} (DM: 2 sets; figures of the first)"
    assert other == f"{said[2]} (DM: one set)"


def test_latex_is_balanced_and_escaped() -> None:
    text = render_bench(summary(make_bench()))["bench.tex"]
    assert text.count(r"\begin{") == text.count(r"\end{") == 2
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in rows} == {6}
    assert r"\textbf{91.5 $\pm$ 0.7 (2 $\times$ 2)}" in text
    assert r"my\_digits" in text
    assert not re.search(r"[±×–]|(?<!\\)[%#_]", text)


def test_the_finding_names_the_best_and_the_gap_to_random() -> None:
    text = finding(summary(make_bench()))
    assert text.startswith(
        "With 10 images a class, the highest mean is that of DM: 91.5 ± 0.7 % (2 sets of 2 students)"
    )
    assert "tested on 359 images (95 % interval of one student: 88.2 to 94.0)" in text
    assert "11.5 points better (standard error 0.5, 95 % interval +5.1 to +17.9, 2 pairs of sets)." in text
    assert "359 test images: 95 % interval of an accuracy of 50 %, ± 5.1 (binomial)." in notes(summary(make_bench()))
    single = summary(make_bench(cells=[make_cell(row, 1, 0, (top,)) for row, top in (("random", 10.0), ("dm", 90.0))]))
    assert "80.0 points better, but one student: no error known, so nothing follows from it." in finding(single)
    assert finding(summary(make_bench(cells=[]))) == "No student has been evaluated yet."
    alone = summary(make_bench(cells=[make_cell("random", 1, 0, (50.0,))]))
    assert (
        "random real images: 50.0 % (one set of 1 student), convnet2, protocol dc, hard labels, tested on 359 images"
        in finding(alone)
    )


def test_full_data_stand_below_the_table() -> None:
    cell = make_cell("dm", 1, 0, (70.0,))
    cell["beside"] = [score("full data", 0, seed, top1, protocol="squeeze") for seed, top1 in enumerate((98.0, 99.0))]
    bench = summary(make_bench(cells=[cell]))
    assert len(bench.panels) == 1
    assert (
        "On all real images, trained as the teacher, convnet2 reaches 98.5 ± 0.7 %." in render_bench(bench)["bench.md"]
    )


def test_plots_are_drawn_of_what_differs() -> None:
    bench = summary(make_bench())
    drawn = plots(bench.panels[0], bench)
    assert [plot.x_label for plot in drawn] == [
        "images a class", "kB of images and labels", "seconds to make the images"
    ]  # fmt: skip
    random, dm, wmdd = drawn[1].series
    assert (random.baseline, dm.baseline) == (True, False)
    assert dm.x == (6.0, 60.0)
    assert dm.y == (73.0, 91.5)
    assert len(wmdd.x) == 1
    single = summary(make_bench(ipcs=[1], cells=[make_cell("dm", 1, 0, (70.0,))]))
    assert plots(single.panels[0], single) == []


def test_a_heatmap_needs_two_students() -> None:
    results = make_bench()
    assert heatmaps(summary(results)) == []
    for cell in results["cells"]:
        cell["scores"] += [{**each, "student": "vit_tiny", "top1": each["top1"] / 2} for each in cell["scores"]]
    first = heatmaps(summary(results))[0]
    assert first.students == ("convnet2", "vit_tiny")
    assert first.rows == (("random", (63.0, 31.5)), ("dm", (73.0, 36.5)))
    assert (first.share(73.0), first.share(31.5)) == (100.0, 0.0)


def write(folder: Path, **changes: object) -> Path:
    (folder / "bench.json").write_text(json.dumps(make_bench(**changes)))
    return folder


def test_the_page_stands_alone_and_is_the_same_every_time(tmp_path: Path) -> None:
    page = write_bench(write(tmp_path))
    text = page.read_text(encoding="utf-8")
    assert page.name == "bench.html"
    assert not re.search(r"https?:|<script|@import|file:", text)
    assert not re.findall(r'(?:src|href)="(?!#|data:)', text)
    assert not re.search(r"<th(?![^>]*scope)[ >]", text)
    assert "prefers-color-scheme: dark" in text
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert "<strong>91.5 ± 0.7 (2 × 2)</strong>" in text
    assert "too_few images &amp; &lt;no&gt; | memory" in text
    assert text.count("<svg") == 3
    before = {name: (tmp_path / name).read_bytes() for name in ("bench.html", "bench.md", "bench.tex")}
    write_bench(tmp_path)
    assert before == {name: (tmp_path / name).read_bytes() for name in before}
    assert not list(tmp_path.glob("*.tmp"))


def test_an_unfinished_bench_renders(tmp_path: Path) -> None:
    waiting = make_cell("dm", 1, 0, (), state="waiting", seconds={}, memory={}, bytes={})
    text = write_bench(write(tmp_path, cells=[waiting])).read_text(encoding="utf-8")
    assert "1 of 1 sets are still to be made" in text
    assert "No student has been evaluated yet." in text


@pytest.mark.parametrize("content", [None, "no JSON", "[]", '{"schema": 9}'])
def test_a_folder_without_results_is_one_line(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "bench.json").write_text(content)
    with pytest.raises(ArtifactError, match=r"bench\.json") as caught:
        read_bench(tmp_path)
    assert "\n" not in str(caught.value)
