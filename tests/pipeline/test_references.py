"""What stands beside a set: made once, under the same rules, through the same code by distill, evaluate and bench."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

import wmdd
from wmdd.artifacts.folder import Store
from wmdd.data.sources.opening import open_data
from wmdd.evaluation.comparison import blocks
from wmdd.evaluation.real_names import CEILING_SET
from wmdd.evaluation.references import reference_methods, with_ceiling
from wmdd.methods.catalogue import complete, recipe_for
from wmdd.pipeline.bench_recipe import BenchRecipe, cells
from wmdd.pipeline.checks import stage_names
from wmdd.pipeline.plan import plan_run
from wmdd.pipeline.runner import Runner, given_images
from wmdd.pipeline.set_evaluation import evaluate_pool, evaluate_sets, reference_sets
from wmdd.pipeline.watchers import Watcher
from wmdd.report.bench import read_bench
from wmdd.report.bench_tables import table_lines
from wmdd.settings import BarycenterSettings

ARCH = "convnet1_w8_bn"
SMALL: dict[str, Any] = {
    "device": "cpu",
    "precision": "fp32",
    "squeeze": {"epochs": 1, "arch": ARCH},
    "barycenter.iterations": 2,
    "recover.iterations": 2,
    "dm": {"arch": "convnet1_w4", "iterations": 2, "batch_real": 8},
    "evaluate": {"students": (ARCH,), "protocols": ("wmdd", "dc"), "epochs": 2, "seeds": 2},
}
SETS = ["wmdd", "random", "k-medoids", CEILING_SET]
KINDS = [("wmdd", "soft"), ("wmdd", "hard"), ("dc", "hard")]


class Made(Watcher):
    """Hears which stages were made and which were there already."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def end(self, stage: str, seconds: float, reused: bool) -> None:
        del seconds
        if not reused:
            self.made.append(stage)


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("references")


@pytest.fixture(scope="session")
def run(place: Path) -> dict[str, Any]:
    recipe = complete({**SMALL, "ipc": 2})
    return wmdd.distill("digits", recipe=recipe, out=place / "run", store=place / "store").metrics


def test_every_reference_stands_beside_under_soft_and_hard_labels(run: dict[str, Any]) -> None:
    found = {(row["set"], row["protocol"], row["labels"], row["seed"]) for row in run["evaluations"]}
    assert found == {(name, *kind, seed) for name in SETS for kind in KINDS for seed in (0, 1)}
    assert {row["seen"] for row in run["evaluations"]} == {2 * 20}
    assert {row["ipc"] for row in run["evaluations"]} == {2}
    assert set(run["costs"]) == set(SETS)
    assert {row["set"] for row in run["ranking"]} == {"wmdd", "k-medoids"}
    assert set(run["diagnosis"]) == {"wmdd", "random", "k-medoids"}


def test_the_ceiling_stands_last_and_is_never_the_highest(run: dict[str, Any]) -> None:
    rows = [{**row, "top1": 99.0 if row["set"] == CEILING_SET else 50.0 + row["seed"]} for row in run["evaluations"]]
    for block in blocks(rows):
        assert [row.set for row in block.rows] == ["wmdd", "k-medoids", "random", CEILING_SET]
        assert [row.level for row in block.rows] == [True, True, True, False]


def test_pages_and_tables_show_them(run: dict[str, Any], place: Path) -> None:
    page = (place / "run" / "report.html").read_text("utf-8")
    passes = f"{2 * 20 / run['data']['train']:.2g}"
    assert "all real images, same steps" in page
    assert f'<td class="num">{passes}</td>' in page
    card = (place / "run" / "distilled" / "README.md").read_text("utf-8")
    assert all(f"| {name} | 2 |" in card for name in SETS)


def test_evaluate_makes_the_same_and_finds_it_finished(run: dict[str, Any], place: Path) -> None:
    listener = Made()
    facts: dict[str, Any] = {"students": (ARCH,), "protocols": ("wmdd", "dc"), "seeds": 2, "labels": "both"}
    scores = wmdd.evaluate(place / "run", "digits", watcher=listener, **facts).scores
    assert [asdict(score) for score in scores] == run["evaluations"]
    # The product has another identity than the stage that made it, so its own students are made again.
    assert [name for name in listener.made if not name.endswith(" wmdd")] == []


def test_a_bench_shares_them_between_its_rows(run: dict[str, Any], place: Path) -> None:
    listener = Made()
    recipe = BenchRecipe(base=SMALL, methods=("dm", "wmdd"), ipcs=(2,), distill_seeds=1)
    bench = wmdd.bench("digits", recipe=recipe, out=place / "bench", store=place / "store", watcher=listener)
    assert [cell["row"] for cell in bench.results["cells"]] == ["random", "dm", "wmdd", "k-medoids"]
    assert [cell["error"] for cell in bench.results["cells"]] == [""] * 4
    assert {name.partition(" ")[0] for name in listener.made} == {"match_means", "relabel", "evaluate"}
    assert {name.rpartition(" ")[2] for name in listener.made} <= {"match_means", "dm"}  # the run had all others
    for cell in bench.results["cells"]:
        assert {row["set"] for row in cell["beside"]} == {"random", CEILING_SET} - {cell["row"]}
        metrics = json.loads((bench.out / cell["folder"] / "metrics.json").read_text("utf-8"))
        assert (metrics["barycenter"] == {}) is (cell["row"] in {"random", "dm"})
    ceiling = [row for row in run["evaluations"] if row["set"] == CEILING_SET]
    assert all(
        [row for row in cell["beside"] if row["set"] == CEILING_SET] == ceiling for cell in bench.results["cells"]
    )
    shown = read_bench(bench.out)
    for panel in shown.panels:
        lines = list(table_lines(panel, shown))
        titles = ["random real images", "DM", "WMDD", "k-medoids", "all real images, same steps"]
        assert [line.title for line in lines] == titles
        assert [line.reference for line in lines] == [True, False, False, False, True]
        protocol = panel.protocol.partition(",")[0]
        of_panel = [row["top1"] for row in ceiling if (row["protocol"], row["labels"]) == (protocol, panel.labels)]
        (last,) = lines[-1].accuracies
        assert last is not None
        assert last.mean == pytest.approx(sum(of_panel) / 2)
        assert not last.level
    passes = f"{2 * 20 / run['data']['train']:.2g}"
    assert f"that a student takes: {passes} at IPC 2." in (bench.out / "bench.md").read_text("utf-8")


def test_smaller_pools_stand_beside_by_the_same_code(run: dict[str, Any], place: Path) -> None:
    recipe = complete({**SMALL, "ipc": 2})
    plan, listener = plan_run(recipe, *open_data("digits", recipe.data)), Made()
    runner = Runner(recipe=plan.recipe, store=Store(root=place / "store"), out=place / "pools", watcher=listener)
    runner.out.mkdir()
    train, val = given_images(plan.train), given_images(plan.val)
    teachers = plan.algorithm.teach(runner, train, val, recipe)
    sets = evaluate_sets(runner, plan, reference_sets(runner, plan, teachers), teachers).sets
    same, more = (evaluate_pool(runner, plan, sets, teachers, per_class=count).record for count in (2, 6))
    assert listener.made == ["pool random ×1", "pool random ×3"]
    random = [row["top1"] for row in run["evaluations"] if row["set"] == "random"]
    assert [score.top1 for score in same.scores] == random
    assert [score.set for score in more.scores] == ["random ×3"] * 6


@pytest.mark.parametrize(
    ("changes", "methods", "ceiling"),
    [
        ({}, ("random", "k-medoids"), True),
        ({"evaluate.references": ()}, ("random",), False),
        ({"evaluate.references": ("random",)}, ("random",), False),
        ({"evaluate.references": ("all",)}, ("random",), True),
        ({"method": "random"}, ("k-medoids",), True),
        ({"method": "k-medoids"}, ("random",), True),
        ({"evaluate.protocols": ("kernel",)}, ("random", "k-medoids"), False),
    ],
)
def test_settings_choose_and_nothing_is_made_twice(
    changes: dict[str, Any], methods: tuple[str, ...], ceiling: bool
) -> None:
    recipe = complete(changes)
    assert (reference_methods(recipe), with_ceiling(recipe)) == (methods, ceiling)
    stages = stage_names(recipe)
    assert ("pool" in stages) is ceiling
    assert "random" in stages
    assert len(set(stages)) == len(stages)


def test_medoids_have_the_barycenter_of_the_run_or_the_default_one() -> None:
    own = complete({"barycenter": {"iterations": 3, "weights": "exact"}, "ipc": 4, "seed": 5})
    found = recipe_for("k-medoids", own)
    assert found.of(BarycenterSettings) == own.of(BarycenterSettings)
    assert (found.method, found.ipc, found.seed, found.squeeze) == ("k-medoids", 4, 5, own.squeeze)
    assert recipe_for("k-medoids", complete({"method": "dm"})).of(BarycenterSettings) == BarycenterSettings()


def test_medoids_are_a_row_of_a_bench_and_not_beside_its_rows() -> None:
    made = cells(BenchRecipe(base=SMALL, methods=("dm",), distill_seeds=1))
    assert [cell.row for cell in made] == ["random", "dm", "k-medoids"]
    assert {cell.recipe.evaluate.references for cell in made} == {("random", "all")}
    alone = {**SMALL, "evaluate.references": ("random",)}
    assert BenchRecipe(base=alone, methods=("dm",)).rows == ("random", "dm")
    first = BenchRecipe(base=SMALL, methods=("k-medoids", "dm"))
    assert first.rows == ("random", "k-medoids", "dm")
