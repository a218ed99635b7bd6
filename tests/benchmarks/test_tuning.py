"""Choosing a setting for each row: the trials, the rule, and a whole run on the digits."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from benchmarks.tuning import best, main, trial_table, tuned_rows, value_means, with_values

from wmdd.errors import ConfigError
from wmdd.pipeline.bench_recipe import BenchRecipe, cells
from wmdd.recipes import BENCHES
from wmdd.settings.recipe import dotted

LAMBDA = "recover.bn_weight"
CELLS = ["wasserstein-pcbn", "wasserstein-bn", "ce-pcbn", "ce-bn"]


def test_every_row_stands_once_for_each_value_and_sees_development_images_alone() -> None:
    table = BENCHES["testbed_ablation"]()
    trials = trial_table(table, LAMBDA, ["0.1", "10"], share=0.2)
    made = {cell.row: cell.recipe for cell in cells(trials) if cell.row != "random"}
    assert set(made) == {f"{row}={value}" for row in CELLS for value in ("0.1", "10")}
    whole = {cell.row: dotted(cell.recipe.model_dump()) for cell in cells(table)}
    for name, recipe in made.items():
        row, value = name.split("=")
        flat = dotted(recipe.model_dump())
        differing = {key for key in flat if key not in ("seed",) and flat[key] != whole[row][key]}
        assert differing <= {LAMBDA, "data.development", "evaluate.protocols", "evaluate.references"}
        assert (flat[LAMBDA], flat["data.development"]) == (float(value), 0.2)


def test_methods_and_rows_that_do_not_read_the_setting_are_left_alone() -> None:
    table = BenchRecipe(methods=("random", "k-medoids", "rded", "wmdd", "mmd"))
    assert tuned_rows(table, LAMBDA) == ["wmdd", "mmd"]
    made = with_values(table, LAMBDA, {"mmd": "3"})
    found = {cell.row: dotted(cell.recipe.model_dump()).get(LAMBDA) for cell in cells(made)}
    assert (found["mmd"], found["wmdd"], found["rded"]) == (3.0, 1.0, None)
    with pytest.raises(ConfigError, match="no row reads it; got kip"):
        tuned_rows(table, "kip.lr")


def result(row: str, *top1: float, state: str = "finished") -> dict[str, Any]:
    return {"row": row, "state": state, "scores": [{"top1": value} for value in top1]}


def test_the_highest_mean_over_sets_and_students_counts_and_the_first_of_equal_ones() -> None:
    found = [result("a=1", 50.0, 60.0), result("a=1", 40.0, 50.0), result("a=2", 49.0, 52.0), result("a=2", 50.0, 50.0)]
    failed = [result("a=3", state="failed"), result("random", 99.0)]
    means = value_means({"cells": [*found, *failed]}, ["a"], ["1", "2", "3"])
    assert means == {"a": {"1": 50.0, "2": pytest.approx(50.25)}}
    assert best(means["a"]) == "2"
    assert best({"1": 50.0, "2": 50.0}) == "1"
    with pytest.raises(ConfigError, match="none of a could be made"):
        value_means({"cells": failed}, ["a"], ["3"])


@pytest.mark.slow
def test_a_table_is_tuned_and_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    words = ["digits", "--recipe", "paper_ablation_smoke", "--values", "0.01", "1", "--out", str(out)]
    rest = ["--store", str(tmp_path / "store"), "--methods", "wasserstein-pcbn", "ce-bn"]
    assert main([*words, *rest]) == 0
    tuned = json.loads((out / "tuned.json").read_text(encoding="utf-8"))
    assert set(tuned["chosen"]) == {"wasserstein-pcbn", "ce-bn"}
    trials, final = (json.loads((out / name / "bench.json").read_text()) for name in ("development", "test"))
    assert trials["data"]["development"] == pytest.approx(0.1)
    assert final["data"]["development"] is None
    recipe = yaml.safe_load((out / "tuned.yaml").read_text(encoding="utf-8"))
    assert {row: recipe["variants"][row][LAMBDA] for row in tuned["chosen"]} == tuned["chosen"]
    assert "recover.bn_weight" in capsys.readouterr().out


def test_mistakes_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["digits", "--recipe", "nowhere", "--values", "1"]) == 2
    assert "unknown recipe; got 'nowhere'" in capsys.readouterr().err
