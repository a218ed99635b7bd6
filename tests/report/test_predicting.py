"""What losses predict, in words: table and sentence, honest where intervals hold 0; one line where none can be told."""

import json
from pathlib import Path
from typing import Any

import pytest
from bench_results import make_bench, make_cell

import wmdd
from wmdd.cli.main import main
from wmdd.errors import ArtifactError
from wmdd.report.bench import summary
from wmdd.report.bench_page import render_bench
from wmdd.report.prediction import caption, columns, lines, of_results, predict_bench, sentence, setting


def with_losses(count: int, **orders: list[float]) -> dict[str, Any]:
    """Return a bench of `count` sets, half of them random images, the first ones with the best students."""
    cells = [
        make_cell(
            "dm" if number % 2 else "random",
            10,
            number,
            (90.0 - number, 88.0 - number),
            losses={name: values[number] for name, values in orders.items()},
        )
        for number in range(count)
    ]
    return make_bench(cells=cells)


RISING = [float(number) for number in range(12)]
MIXED = [3.0, 9.0, 1.0, 7.0, 5.0, 11.0, 2.0, 8.0, 0.0, 10.0, 4.0, 6.0]


def test_the_best_loss_is_named_with_its_interval() -> None:
    (found,) = of_results(with_losses(12, w2_views=RISING, gradient=MIXED, mmd_rbf=[1.0] * 12))
    assert setting(found) == "convnet2, protocol dc, hard labels, IPC 10"
    assert columns(found) == ("loss", "all, n = 12", "real, n = 6", "optimised, n = 6")
    said = sentence(found)
    assert said.startswith("Of 3 losses W2² of view features ranks the students best: ρ 1.00 [0.9")
    assert "over 12 sets." in said
    table = {title: cells for title, *cells in lines(found)}
    assert table["Gaussian MMD²"] == ["–", "–", "–"]
    assert table["W2² of view features"][0].startswith("1.00 [")
    assert "(100 − top-1)" in caption([found])


def test_nothing_is_claimed_where_the_interval_holds_0() -> None:
    (found,) = of_results(with_losses(12, gradient=MIXED))
    assert sentence(found).startswith("No loss is shown to rank the students of these 12 sets: the highest of 1 is")
    assert "[−0." in sentence(found)


def test_a_loss_that_ranks_the_wrong_way_round_is_named() -> None:
    (found,) = of_results(with_losses(12, bn_global=RISING[::-1]))
    said = sentence(found)
    assert said.startswith("No loss ranks the students of these 12 sets the right way round")
    assert "Students are worse where these are lower: BatchNorm term of all classes, ρ −1.00 [−1.00, −0.9" in said
    (found,) = of_results(with_losses(12, w2_views=RISING, mmd_rbf=RISING, bn_global=RISING[::-1]))
    assert "Within its interval lies 1 other. Students are worse" in sentence(found)


def test_losses_that_do_not_differ_cannot_be_judged() -> None:
    assert sentence(of_results(with_losses(3, w2_views=RISING))[0]) == (
        "A rank correlation needs 4 different sets under one setting; got 3; add rows or --distill-seeds."
    )
    flat = with_losses(6, gradient=RISING)
    for cell in flat["cells"]:
        cell["scores"] = [{**score, "top1": 50.0} for score in cell["scores"]]
    assert sentence(of_results(flat)[0]).startswith("No loss differs between the 6 sets")


def test_the_page_shows_table_and_sentence() -> None:
    texts = render_bench(summary(with_losses(12, w2_views=RISING, gradient=MIXED)))
    assert "## Which losses predict" in texts["bench.md"]
    assert "| loss | all, n = 12 | real, n = 6 | optimised, n = 6 |" in texts["bench.md"]
    assert "| W2² of view features | 1.00 [" in texts["bench.md"]
    assert "Of 2 losses W2² of view features ranks the students best" in texts["bench.html"]
    assert '<th scope="row" class="set">gradient distance</th>' in texts["bench.html"]
    assert "Which losses predict" not in render_bench(summary(make_bench()))["bench.html"]


def write(folder: Path, results: dict[str, Any]) -> Path:
    (folder / "bench.json").write_text(json.dumps(results), encoding="utf-8")
    return folder


def test_the_command_says_what_the_function_returns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path, with_losses(12, w2_views=RISING, gradient=MIXED))
    assert main(["predict", str(folder)]) == 0
    out = capsys.readouterr().out
    (found,) = wmdd.predict(folder)
    assert sentence(found) in out
    assert all(title in out for title, *_ in lines(found))
    assert caption([found]) in out


def test_too_few_sets_or_none_with_losses_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, with_losses(3, w2_views=RISING))
    with pytest.raises(ArtifactError, match="needs 4 different sets under one setting; got 3; add rows"):
        predict_bench(tmp_path)
    assert main(["predict", str(tmp_path)]) == 2
    write(tmp_path, make_bench())
    with pytest.raises(ArtifactError, match="has losses; got 10 finished sets without; make the bench again with --lo"):
        predict_bench(tmp_path)
    assert main(["predict", str(tmp_path / "none")]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2
    assert "no such folder" in errors[1]


@pytest.mark.parametrize("damage", ["text", None, float("nan"), float("inf"), {"w": 1}])
def test_damaged_losses_are_one_line(tmp_path: Path, damage: Any) -> None:
    results = with_losses(5, w2_views=RISING)
    results["cells"][2]["losses"]["w2_views"] = damage
    write(tmp_path, results)
    with pytest.raises(ArtifactError, match=r"bench.json is damaged; got cells.2.losses.w2_views"):
        predict_bench(tmp_path)
