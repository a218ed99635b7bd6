"""Shipped recipes are complete, and their docstrings are lab cards."""

import re
from pathlib import Path
from typing import Any

import pytest

import wmdd
from wmdd.errors import ConfigError
from wmdd.evaluation.protocol_names import find_protocol
from wmdd.methods.catalogue import builtin_methods, complete, read_recipe
from wmdd.models.names import check_name
from wmdd.pipeline.bench_recipe import cells
from wmdd.recipes import BENCHES, RECIPES, choose_recipe, find_recipe
from wmdd.settings import InversionSettings
from wmdd.settings.recipe import dotted, setting_names, write_recipe

CARD = ("Source", "Command", "Cost", "Expected", "Last measured")


def test_the_shipped_recipes() -> None:
    assert {"digits", "imagenette", "imagenette64"} <= set(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_builds_and_names_what_exists(name: str) -> None:
    recipe = complete(find_recipe(name))
    for arch in (recipe.squeeze.arch, *recipe.evaluate.students):
        check_name(arch)
    for protocol in recipe.evaluate.protocols:
        find_protocol(protocol)


@pytest.mark.parametrize("name", RECIPES)
def test_every_setting_of_a_recipe_is_read_by_some_method(name: str) -> None:
    tree = dotted(find_recipe(name))
    for method in builtin_methods():
        recipe = complete({**tree, "method": method})
        tree = {setting: value for setting, value in tree.items() if setting not in setting_names(type(recipe))}
    assert tree == {}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_survives_yaml(name: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(write_recipe(complete(find_recipe(name))), encoding="utf-8")
    assert complete(read_recipe(path)) == complete(find_recipe(name))


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_has_a_lab_card(name: str) -> None:
    card = RECIPES[name].__doc__ or ""
    assert card.split("\n")[0].endswith(".")
    for label in CARD:
        assert re.search(rf"^ *{label}\b.*: *\S", card, re.MULTILINE), f"{name}: no {label}"
    assert f"--recipe {name}" in card


WITH_CARDS = [name for name in BENCHES if not name.endswith("_smoke")]
SMOKE = [name for name in BENCHES if name.endswith("_smoke")]


@pytest.mark.parametrize("name", BENCHES)
def test_a_bench_recipe_builds_and_names_what_exists(name: str) -> None:
    bench = BENCHES[name]()
    assert {cell.row for cell in cells(bench)} == set(bench.rows)
    for arch in (bench.shared.squeeze.arch, *bench.shared.evaluate.students):
        check_name(arch)
    for protocol in bench.shared.evaluate.protocols:
        find_protocol(protocol)


@pytest.mark.parametrize("name", WITH_CARDS)
def test_a_bench_recipe_has_a_lab_card(name: str) -> None:
    card = BENCHES[name].__doc__ or ""
    assert card.split("\n")[0].endswith(".")
    for label in CARD:
        assert re.search(rf"^ *{label}\b.*: *\S", card, re.MULTILINE), f"{name}: no {label}"
    assert re.search(rf"`wmdd bench (FOLDER|digits) --recipe {name}\b", card)


def test_the_ablation_crosses_losses_with_statistics() -> None:
    own = [cell for cell in cells(BENCHES["paper_ablation"]()) if cell.row != "random"]
    found = {(cell.recipe.method, cell.recipe.of(InversionSettings).bn) for cell in own}
    assert found == {(method, bn) for method in ("wmdd", "inversion") for bn in ("per_class", "global")}


def settings_of(name: str) -> dict[str, dict[str, Any]]:
    """Row → all settings of its first set."""
    return {cell.row: dotted(cell.recipe.model_dump()) for cell in reversed(cells(BENCHES[name]()))}


def test_the_sweep_has_the_papers_form_and_that_of_its_code_each_whole() -> None:
    rows, axis = settings_of("paper_lambda"), (0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000)
    names = ("recover.form", "barycenter.weights", "barycenter.iterations", "recover.roll", "recover.ce_weight")
    forms = {"lambda": ("squared", "learned", 10, 0, 0.0), "reference": ("reference", "uniform", 100, 32, 0.0)}
    assert set(rows) == {"random", *(f"{form}-{value}" for form in forms for value in axis)}
    for form, wanted in forms.items():
        for value in axis:
            row = rows[f"{form}-{value}"]
            assert tuple(row[name] for name in names) == wanted
            # The sum over 10 images of the paper's feature term is a mean here.
            assert row["recover.bn_weight"] == pytest.approx(value / 10 if form == "lambda" else value)


@pytest.mark.parametrize(
    ("name", "varied"),
    [
        ("paper_metric", {"method", "barycenter.objective"}),
        ("paper_weights", {"barycenter.weights"}),
        ("paper_iterations", {"barycenter.iterations"}),
    ],
)
def test_the_rows_of_a_study_differ_in_nothing_else(name: str, varied: set[str]) -> None:
    rows = [flat for row, flat in settings_of(name).items() if row != "random"]
    shared = set.intersection(*map(set, rows))
    assert {key for key in shared if len({repr(flat[key]) for flat in rows}) > 1} <= varied


def test_metrics_alone_have_no_batchnorm_term() -> None:
    assert {flat["recover.bn"] for row, flat in settings_of("paper_metric_alone").items() if row != "random"} == {
        "none"
    }


@pytest.mark.parametrize(
    ("name", "missing"), [("paper_main", set()), ("paper_main_tiny", set()), ("paper_main_imagenet1k", {"mtt"})]
)
def test_the_main_tables_have_the_papers_rows_and_columns(name: str, missing: set[str]) -> None:
    bench = BENCHES[name]()
    assert {"random", "dm", "mtt", "sre2l", "cda", "gvbsm", "scdd", "wmdd"} - missing <= set(bench.rows)
    assert bench.ipcs == (1, 10, 50, 100)
    assert (bench.shared.evaluate.protocols, bench.shared.evaluate.seeds) == (("wmdd",), 3)


@pytest.mark.parametrize(
    "name", [name for name in BENCHES if name.replace("testbed", "paper") in BENCHES if "testbed" in name]
)
def test_the_testbeds_tables_have_the_rows_of_the_papers(name: str) -> None:
    full, small, base = BENCHES[name.replace("testbed", "paper")](), BENCHES[name](), BENCHES["testbed_ipc1"]().shared
    assert (small.rows, small.ipcs) == (full.rows, (10,))
    assert small.shared.evaluate.references == full.shared.evaluate.references
    assert (small.shared.data, small.shared.squeeze) == (base.data, base.squeeze)
    for row, settings in full.variants.items():
        assert small.variants[row] == {**settings, **({"recover.roll": 4} if "recover.roll" in settings else {})}


def test_matching_methods_on_cifar10_are_judged_by_the_whole_protocol() -> None:
    evaluation = BENCHES["kernels_cifar10"]().shared.evaluate
    assert (evaluation.protocols, evaluation.epochs, evaluation.batch) == (("dc",), None, None)


@pytest.mark.parametrize("name", SMOKE)
def test_the_smoke_variants_run_on_digits(name: str, tmp_path: Path) -> None:
    run = wmdd.bench("digits", recipe=name, out=tmp_path / "out", store=tmp_path / "store")
    assert [(cell["row"], cell["error"]) for cell in run.results["cells"] if cell["state"] != "finished"] == []
    assert (run.out / "bench.html").exists()


def test_the_recipe_that_is_meant(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("ipc: 3\n", encoding="utf-8")
    assert choose_recipe("digits", None) == find_recipe("digits")
    assert choose_recipe("a/folder", None) == find_recipe("pictures") == {"method": "wmdd+"}
    assert choose_recipe("a/folder", "digits") == find_recipe("digits")
    assert choose_recipe("digits", path) == {"ipc": 3}
    assert choose_recipe("digits", str(path)) == {"ipc": 3}


def test_unknown_recipes_are_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="got 'digit'; did you mean 'digits'"):
        find_recipe("digit")
    with pytest.raises(ConfigError, match=r"cannot read recipe .*nowhere\.yaml"):
        choose_recipe("digits", tmp_path / "nowhere.yaml")
