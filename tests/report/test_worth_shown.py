"""What a set is worth, wherever it is shown: figures from scores with known answers."""

import html
import json
import re
from pathlib import Path
from typing import Any

import pytest
from bench_results import make_bench, make_cell
from bench_results import score as cell_score
from run_folders import make_metrics, score

from wmdd.cli.render import show_scores
from wmdd.evaluation.real_names import CEILING_SET
from wmdd.report.bench import summary
from wmdd.report.bench_page import render_bench
from wmdd.report.page import write_report
from wmdd.report.tables import evaluated, verdict
from wmdd.report.worth import curve_lines

TOPS = {"wmdd": (55.0, 55.2, 54.8), "random": (50.0, 50.2, 49.8), CEILING_SET: (70.0, 70.2, 69.8)}
"""Students of equal seeds are equally far apart: the share is 5 / 20 without any error."""
SHARE = "0.25 (0.25 to 0.25)"


def metrics(**tops: tuple[float, ...]) -> dict[str, Any]:
    """Return the metrics of a run whose students are those of `TOPS`, but for `tops`."""
    rows = [score(of, seed, top1) for of, all_ in {**TOPS, **tops}.items() for seed, top1 in enumerate(all_)]
    return make_metrics(evaluations=rows)


def page_of(folder: Path, content: dict[str, Any]) -> str:
    (folder / "metrics.json").write_text(json.dumps(content), encoding="utf-8")
    return write_report(folder).read_text("utf-8")


def test_terminal_and_headline_give_the_share(capsys: pytest.CaptureFixture[str]) -> None:
    show_scores(metrics())
    shown = " ".join(capsys.readouterr().out.split())
    assert "0.25 (0.25 to 0.25)" in shown or "0.25 (0.25" in shown
    assert f"WMDD fills {SHARE} of the gap between random and all real images." in shown


def test_the_report_gives_the_share_of_each_set_and_a_dash_for_references(tmp_path: Path) -> None:
    page = page_of(tmp_path, metrics())
    shown = re.findall(r'</div></td>\s*<td class="num">([^<]*)</td><td class="num">1 × 3</td>', page)
    assert shown == [SHARE, "–", "–"]
    assert f"WMDD fills {SHARE} of the gap" in page


@pytest.mark.parametrize("ceiling", [(50.1, 49.9, 50.2), ()])
def test_a_dash_where_floor_and_ceiling_cannot_be_told_apart_or_one_is_missing(
    tmp_path: Path, ceiling: tuple[float, ...]
) -> None:
    content = metrics(**{CEILING_SET: ceiling})
    assert "of the gap" not in verdict(content)
    page = page_of(tmp_path, content)
    assert '<td class="num">–</td><td class="num">1 × 3</td>' in page
    assert "fills" not in page.partition("<table")[0].partition("Rows are comparable")[0]


def with_ceiling() -> dict[str, Any]:
    """Return a bench of two numbers of images per class; at the larger one, floor and ceiling are the same."""
    tops = {("random", 1): (50.0, 50.2, 49.8), ("dm", 1): (55.0, 55.2, 54.8), ("random", 10): (70.0, 70.2, 69.8),
            ("dm", 10): (69.0, 69.5, 69.9)}  # fmt: skip
    cells = [make_cell(row, ipc, seed, (top,)) for (row, ipc), all_ in tops.items() for seed, top in enumerate(all_)]
    for cell in cells:
        if cell["row"] == "random":
            cell["beside"] = [cell_score(CEILING_SET, cell["ipc"], 0, (70.0, 70.2, 69.8)[cell["seed"]])]
    rows = [{"name": name, "method": name, "settings": {}} for name in ("random", "dm")]
    return make_bench(rows=rows, cells=cells)


def test_a_bench_has_a_table_of_shares_below_each_panel() -> None:
    texts = render_bench(summary(with_ceiling()))
    assert f"| method | gap, IPC 1 | gap, IPC 10 |\n| --- | ---: | ---: |\n| DM | {SHARE} | – |\n" in texts["bench.md"]
    assert f"Method & Gap, IPC 1 & Gap, IPC 10 \\\\\n    \\midrule\n    DM & {SHARE} & -- \\\\" in texts["bench.tex"]
    assert f'DM</th><td class="num">{SHARE}</td><td class="num">–</td></tr>' in texts["bench.html"]


def test_a_bench_without_ceiling_has_no_such_table() -> None:
    texts = render_bench(summary(make_bench()))
    assert not any("gap" in text.lower() for name, text in texts.items() if name != "bench.html")


def pooled(own: float, *, set_name: str = "wmdd") -> dict[str, Any]:
    """Return the metrics of a run whose random images reach 50, 54, 58 with 1, 2, 4 times as many; no noise at all."""
    tops = {set_name: own, "random": 50.0, "random ×2": 54.0, "random ×4": 58.0, CEILING_SET: 70.0}
    rows = [
        score(of, seed, top, distill_seed=draw)
        for of, top in tops.items()
        for draw in range(1 if of in {set_name, CEILING_SET} else 3)
        for seed in range(2)
    ]
    return make_metrics(evaluations=rows)


@pytest.mark.parametrize(
    ("own", "said"),
    [(54.0, "2.0 (2.0)"), (56.0, "2.8 (2.8)"), (49.0, "< 1 (< 1)"), (60.0, "> 4 (> 4)")],
)
def test_the_report_gives_the_exchange_rate_and_its_curve(tmp_path: Path, own: float, said: str) -> None:
    """Half way between 2 and 4 on a logarithmic scale is √8 = 2.8."""
    page = html.unescape(page_of(tmp_path, pooled(own)))
    assert (
        f"One image of WMDD is worth {said} random real ones under protocol wmdd, soft labels, student resnet18."
        in page
    )
    section = page.partition('<h2 id="worth">')[2].partition("</section>")[0]
    assert "random real images from 50 at random real images a class 2 to 58 at random real images a class 8" in section
    assert f"WMDD from {own:.4g}" in section
    assert "all real images, same steps at 70" in section


def test_lines_of_the_curve_are_in_rising_order() -> None:
    (block,) = evaluated(pooled(54.0))
    assert curve_lines(block, "wmdd") == [
        ("random real images", "2", "50.0 ± 0.0 (3 × 2)"),
        ("random real images ×2", "4", "54.0 ± 0.0 (3 × 2)"),
        ("random real images ×4", "8", "58.0 ± 0.0 (3 × 2)"),
        ("WMDD", "2", "54.0 ± 0.0 (1 × 2)"),
        ("all real images, same steps", "all", "70.0 ± 0.0 (1 × 2)"),
    ]


@pytest.mark.parametrize("name", ["random ×", "random ×nan", "random ×0", "random ×-1", "random ×1e400", "random × 2"])
def test_without_pools_or_with_damaged_ones_there_is_no_curve(tmp_path: Path, name: str) -> None:
    content = metrics()
    content["evaluations"].append(score(name, 0, 60.0))
    assert 'id="worth"' not in page_of(tmp_path, content)


def test_metrics_of_older_versions_have_neither_pools_nor_a_ceiling(tmp_path: Path) -> None:
    page = page_of(tmp_path, make_metrics())
    assert 'id="worth"' not in page
    assert "fills" not in verdict(make_metrics())


def test_a_bench_gives_each_row_its_rate_from_the_pools_beside_random_images() -> None:
    results = with_ceiling()
    for cell in results["cells"]:
        if (cell["row"], cell["ipc"]) == ("random", 1):
            top = cell["scores"][0]["top1"]
            cell["beside"] += [cell_score(f"random ×{r}", 1, 0, top + gain) for r, gain in ((2, 5.0), (10, 9.0))]
    bench = summary(results)
    texts = render_bench(bench)
    assert "| method | gap, IPC 1 | gap, IPC 10 | worth, IPC 1 |" in texts["bench.md"]
    assert f"| DM | {SHARE} | – | 2.0 (2.0) |" in texts["bench.md"]
    assert "Worth: the random real images that one image" in texts["bench.md"]
    assert "& 2.0 (2.0) \\\\" in texts["bench.tex"]
    assert "random ×" not in texts["bench.md"]
    assert [row.name for row in bench.panels[0].rows] == ["random", "dm", CEILING_SET]
    assert texts["bench.html"].count("Random real images in growing numbers</h3>") == 1
