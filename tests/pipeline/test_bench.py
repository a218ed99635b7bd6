"""A bench: every cell a finished run, nothing computed twice, failures in their rows, stopped benches go on."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

import wmdd
from recorded_settings import settings_read
from wmdd.cli.bench import BenchFlags
from wmdd.errors import ConfigError
from wmdd.evaluation.loss_cards import LOSSES
from wmdd.methods.catalogue import complete
from wmdd.pipeline import bench_cells as bench_module
from wmdd.pipeline.bench_recipe import BenchRecipe, Cell, cells
from wmdd.pipeline.status import run_status
from wmdd.pipeline.watchers import Watcher
from wmdd.recipes import BENCHES, choose_bench, find_recipe
from wmdd.settings import Recipe
from wmdd.settings.recipe import merged

ARCH = "convnet1_w8_bn"
BASE: dict[str, Any] = {
    "device": "cpu",
    "precision": "fp32",
    "save_every": 0,
    "squeeze": {"epochs": 1, "arch": ARCH},
    "recover": {"iterations": 4},
    "evaluate": {"students": (ARCH,), "epochs": 2, "seeds": 2, "labels": "soft", "references": ("random",)},
}
BENCH = BenchRecipe(
    base=BASE,
    methods=("wmdd", "uniform", "lost"),
    ipcs=(1, 2),
    distill_seeds=2,
    variants={"uniform": {"barycenter.weights": "uniform"}, "lost": {"evaluate.students": ["timm:no_such"]}},
)


class Listener(Watcher):
    """Hears which stages were made, and may ask to stop after some of them."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.made: list[str] = []
        self.notes: list[str] = []
        self.stop_after = stop_after

    def note(self, text: str) -> None:
        self.notes.append(text)

    def end(self, stage: str, seconds: float, reused: bool) -> None:
        assert not reused
        assert seconds >= 0
        self.made.append(stage.partition(" ")[0])

    def stop_asked(self) -> bool:
        return self.stop_after is not None and len(self.made) >= self.stop_after


@dataclass(frozen=True)
class Finished:
    out: Path
    store: Path
    results: dict[str, Any]
    listener: Listener
    read: set[str]


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    place, listener = tmp_path_factory.mktemp("bench"), Listener()
    folders = {"out": place / "out", "store": place / "store"}
    with settings_read() as read:
        run = wmdd.bench("digits", recipe=BENCH, watcher=listener, command="typed", **folders)
    return Finished(out=run.out, store=place / "store", results=run.results, listener=listener, read=read)


def of_row(results: dict[str, Any], row: str) -> list[dict[str, Any]]:
    return [cell for cell in results["cells"] if cell["row"] == row]


def outcome(results: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [(cell["folder"], cell["state"], cell["error"], cell["scores"]) for cell in results["cells"]]


def test_every_field_of_a_bench_recipe_is_read(finished: Finished) -> None:
    assert {f"bench.{name}" for name in BenchRecipe.model_fields} <= finished.read


def test_every_cell_is_there(finished: Finished) -> None:
    results = json.loads((finished.out / "bench.json").read_text("utf-8"))
    assert results == finished.results
    assert [row["name"] for row in results["rows"]] == ["random", "wmdd", "uniform", "lost"]
    assert len(results["cells"]) == 4 * 2 * 2
    for cell in of_row(results, "wmdd") + of_row(results, "random"):
        assert (cell["state"], cell["error"]) == ("finished", "")
        assert {(s["set"], s["ipc"], s["student"]) for s in cell["scores"]} == {(cell["method"], cell["ipc"], ARCH)}
        assert [s["seed"] for s in cell["scores"]] == [0, 1]
        assert cell["bytes"]["images"] > 0
    assert results["run"]["command"] == "typed"
    assert results["teacher"]["arch"] == ARCH


def test_every_cell_is_a_run_of_its_own(finished: Finished) -> None:
    for cell in of_row(finished.results, "uniform"):
        folder = finished.out / cell["folder"]
        assert wmdd.load(folder / "distilled").ipc == cell["ipc"]
        metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
        assert {score["set"] for score in metrics["evaluations"]} == {"wmdd", "random"}
        settings = yaml.safe_load((folder / "recipe.yaml").read_text("utf-8"))
        assert (settings["ipc"], settings["seed"]) == (cell["ipc"], cell["seed"])
        assert settings["barycenter"]["weights"] == "uniform"


def test_nothing_is_computed_twice(finished: Finished) -> None:
    made = Counter(finished.listener.made)
    assert (made["squeeze"], made["statistics"]) == (1, 1)
    assert made["random"] == 4
    assert made["barycenter"] == made["recover"] == 8
    assert made["evaluate"] == 12


def test_costs_leave_the_shared_teacher_out(finished: Finished) -> None:
    cell = of_row(finished.results, "wmdd")[0]
    assert set(cell["seconds"]) == {"statistics", "barycenter", "recover", "relabel", "evaluate"}
    assert set(cell["memory"]) == set(cell["seconds"])
    assert set(cell["commits"]) >= set(cell["seconds"])
    assert all(peak > 1_000_000 for peak in cell["memory"].values())
    assert set(of_row(finished.results, "random")[0]["seconds"]) == {"random", "relabel", "evaluate"}


def test_a_cell_that_fails_is_a_line_in_its_row(finished: Finished) -> None:
    lost = of_row(finished.results, "lost")
    assert {cell["state"] for cell in lost} == {"failed"}
    assert all("no_such" in cell["error"] and "\n" not in cell["error"] for cell in lost)
    text = (finished.out / "bench.md").read_text("utf-8")
    assert "## Failed" in text
    assert "lost, IPC 2, seed 1" in text


def test_the_cost_is_announced_and_progress_is_told(finished: Finished) -> None:
    notes = finished.listener.notes
    assert notes[0].startswith(
        "16 sets of digits (1,438 images of 10 classes at 8 px), 2 students each, on cpu in fp32"
    )
    assert "[1 of 16] random, IPC 1, seed 0" in notes
    assert any(note.startswith("[5 of 16] wmdd, IPC 1, seed 0, about ") for note in notes)


def test_status_of_a_bench(finished: Finished, tmp_path: Path) -> None:
    status = run_status(finished.out)
    assert status.sentence == "unfinished, 4 of 16 sets are missing; the same command continues"
    assert [row[1] for row in status.rows].count("finished") == 12
    (tmp_path / "bench.json").write_text("torn", encoding="utf-8")
    with pytest.raises(wmdd.WmddError, match="is damaged"):
        run_status(tmp_path)


def test_tables_and_page_are_written(finished: Finished) -> None:
    for name in ("bench.md", "bench.tex", "bench.html", "bench.yaml"):
        assert (finished.out / name).stat().st_size > 0
    assert cells(choose_bench("digits", finished.out / "bench.yaml")) == cells(BENCH)


def test_a_finished_bench_is_not_repeated(finished: Finished) -> None:
    listener = Listener()
    again = wmdd.bench(
        "digits", recipe=BENCH, out=finished.out, store=finished.store, watcher=listener, command="typed"
    )
    assert listener.made == []
    assert sum(note.endswith("found finished") for note in listener.notes) == 12
    assert outcome(again.results) == outcome(finished.results)


def test_other_settings_are_not_taken_for_finished(finished: Finished, tmp_path: Path) -> None:
    listener = Listener()
    base = merged(BASE, {"recover.iterations": 5})
    recipe = BENCH.with_(base=base, methods=("wmdd",), ipcs=(1,), distill_seeds=1, variants={})
    wmdd.bench("digits", recipe=recipe, out=finished.out / "other", store=finished.store, watcher=listener)
    assert Counter(listener.made) == Counter(("recover", "relabel", "evaluate", "diagnose"))


@pytest.fixture(scope="session")
def with_losses(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The sets of the bench again, measured by losses, and a method of real images more."""
    listener, place = Listener(), tmp_path_factory.mktemp("losses") / "out"
    recipe = BENCH.with_(methods=("wmdd", "uniform", "herding"), ipcs=(1,), losses=True, variants={
        "uniform": {"barycenter.weights": "uniform"}})  # fmt: skip
    run = wmdd.bench("digits", recipe=recipe, out=place, store=finished.store, watcher=listener)
    return Finished(out=run.out, store=finished.store, results=run.results, listener=listener, read=set())


def test_losses_of_every_set_are_measured_on_demand(finished: Finished, with_losses: Finished) -> None:
    assert {cell["state"] for cell in with_losses.results["cells"]} == {"finished"}
    assert all(set(cell["losses"]) == set(LOSSES) for cell in with_losses.results["cells"])
    assert all(cell["losses"] == {} for cell in finished.results["cells"])
    made = Counter(with_losses.listener.made)
    assert (made["losses"], made["view_features"], made["statistics"], made["recover"]) == (8 - 1, 1, 0, 0)
    assert any(", losses " in note for note in with_losses.listener.notes)
    for cell in with_losses.results["cells"]:
        metrics = json.loads((with_losses.out / cell["folder"] / "metrics.json").read_text("utf-8"))
        assert metrics["losses"] == cell["losses"]
    assert "losses" not in of_row(with_losses.results, "wmdd")[0]["seconds"]


def test_sets_are_measured_under_one_draw(with_losses: Finished) -> None:
    """Herding draws nothing, so both of its sets are the same one, and have the same losses."""
    one, two = of_row(with_losses.results, "herding")
    assert one["losses"] == two["losses"]
    random = of_row(with_losses.results, "random")
    assert random[0]["losses"]["w2_images"] != random[1]["losses"]["w2_images"]


def test_losses_tell_which_of_them_predict(with_losses: Finished) -> None:
    """With one image a class all weights are 1: `uniform` has the sets of `wmdd`, and counts for nothing."""
    (found,) = wmdd.predict(with_losses.out)
    assert found.sets == {"all": 5, "real": 3, "optimised": 2}
    assert list(found.correlations) == list(LOSSES)
    assert all(of["all"].n == 5 for of in found.correlations.values())
    text = (with_losses.out / "bench.md").read_text("utf-8")
    assert "## Which losses predict" in text


def test_measured_sets_are_found_finished_with_and_without_losses(with_losses: Finished) -> None:
    recipe = choose_bench("digits", with_losses.out / "bench.yaml")
    assert recipe.losses
    for asked in (recipe, recipe.with_(losses=False)):
        listener = Listener()
        again = wmdd.bench("digits", recipe=asked, out=with_losses.out, store=with_losses.store, watcher=listener)
        assert listener.made == []
        assert sum(note.endswith("found finished") for note in listener.notes) == 8
        assert [cell["losses"] for cell in again.results["cells"]] == [
            cell["losses"] for cell in with_losses.results["cells"]
        ]


def test_finished_sets_are_measured_later(finished: Finished, tmp_path: Path) -> None:
    recipe = BENCH.with_(methods=("wmdd",), ipcs=(1,), distill_seeds=1, variants={})
    place = {"out": tmp_path / "out", "store": finished.store}
    assert wmdd.bench("digits", recipe=recipe, **place).results["cells"][1]["losses"] == {}
    listener = Listener()
    run = wmdd.bench("digits", recipe=recipe.with_(losses=True), watcher=listener, **place)
    assert set(run.results["cells"][1]["losses"]) == set(LOSSES)
    assert not {"recover", "relabel", "evaluate", "squeeze"} & set(listener.made)
    cropped = recipe.with_(losses=True, base=merged(BASE, {"relabel.crop_min": 0.5}))
    again = wmdd.bench("digits", recipe=cropped, **place)
    assert again.results["cells"][1]["losses"]["w2_views"] != run.results["cells"][1]["losses"]["w2_views"]


def test_a_stopped_bench_goes_on(finished: Finished, tmp_path: Path) -> None:
    recipe = BENCH.with_(methods=("wmdd",), ipcs=(1,), variants={})
    place = {"out": tmp_path / "out", "store": tmp_path / "store"}
    with pytest.raises(KeyboardInterrupt):
        wmdd.bench("digits", recipe=recipe, watcher=Listener(stop_after=5), **place)
    half = json.loads((tmp_path / "out" / "bench.json").read_text("utf-8"))
    assert {cell["state"] for cell in half["cells"]} == {"finished", "waiting"}
    run = wmdd.bench("digits", recipe=recipe, **place)
    expected = [
        cell for cell in outcome(finished.results) if cell[0].startswith(("cells/random-ipc1", "cells/wmdd-ipc1"))
    ]
    assert outcome(run.results) == expected


def test_a_bug_in_one_cell_keeps_its_traceback(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = bench_module.run_stages

    def broken(runner: Any, *rest: Any) -> dict[str, Any]:
        return real(runner, *rest) if runner.recipe.method == "random" else {}["no such\nkey"]

    recipe = BENCH.with_(methods=("wmdd",), ipcs=(1,), distill_seeds=1, variants={})
    place = {"out": tmp_path / "out", "store": finished.store}
    with monkeypatch.context() as patch:
        patch.setattr(bench_module, "run_stages", broken)
        run = wmdd.bench("digits", recipe=recipe, **place)
    assert [cell["state"] for cell in run.results["cells"]] == ["finished", "failed"]
    assert run.results["cells"][1]["error"] == r"KeyError: 'no such\nkey'"
    trace = tmp_path / "out" / run.results["cells"][1]["folder"] / "error.txt"
    assert "Traceback" in trace.read_text("utf-8")
    again = wmdd.bench("digits", recipe=recipe, **place)
    assert [cell["state"] for cell in again.results["cells"]] == ["finished", "finished"]
    assert not trace.exists()


def test_what_no_row_can_use_stops_the_bench_at_once(tmp_path: Path) -> None:
    place = {"out": tmp_path / "out", "store": tmp_path / "store"}
    for recipe, message in (
        (BENCH.with_(base=merged(BASE, {"evaluate.protocols": ("none",)})), "protocol"),
        (BENCH.with_(ipcs=(1, 10_000)), "10000"),
    ):
        with pytest.raises(wmdd.WmddError, match=message):
            wmdd.bench("digits", recipe=recipe, **place)
    assert not (tmp_path / "out" / "bench.json").exists()


def test_three_sets_of_three_students_are_the_default_of_function_and_command() -> None:
    assert (BenchRecipe().distill_seeds, BenchRecipe().shared.evaluate.seeds) == (3, 3)
    assert (BenchFlags().distill_seeds, BenchFlags().seeds) == (None, None)  # as in the recipe


def test_few_test_images_are_a_warning_of_every_cell(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wmdd.pipeline.doubts.FEW", 1000)
    recipe = BENCH.with_(methods=("random",), ipcs=(1,), distill_seeds=1, variants={})
    run = wmdd.bench("digits", recipe=recipe, out=tmp_path / "out", store=finished.store)
    assert [[each["kind"] for each in cell["warnings"]] for cell in run.results["cells"]] == [["few test images"]]
    assert "359 test images: an accuracy of 50 % is known to ± 5 points only" in (run.out / "bench.md").read_text(
        "utf-8"
    )


def test_rows_and_their_methods() -> None:
    recipe = BenchRecipe(
        base=BASE,
        methods=("dm", "plain", "half", "dm", "random"),
        variants={"dm": {"dm.iterations": 7}, "half": {"method": "herding"}, "plain": {}},
    )
    assert recipe.rows == ("random", "dm", "plain", "half")
    assert [recipe.method_of(row) for row in recipe.rows] == ["random", "dm", "wmdd", "herding"]
    made = cells(recipe)
    assert [cell.name for cell in made] == [f"{row}-ipc10-seed{seed}" for row in recipe.rows for seed in range(3)]
    assert made[3].recipe.dm.iterations == 7
    assert made[0].recipe == complete({**BASE, "method": "random"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": ("herdin",)}, "no such method or variant; got 'herdin'; did you mean 'herding'"),
        ({"methods": ()}, "methods"),
        ({"ipcs": (0,)}, "ipcs"),
        ({"methods": ("a",), "variants": {"a": {"recover.lrr": 1}}}, "variants.a: recover.lrr: unknown setting"),
        ({"methods": ("a",), "variants": {"a": {"squeeze.epochs": 1}}}, "variants.a: all rows share squeeze.epochs"),
        ({"methods": ("a",), "variants": {"a": {"seed": 1}}}, "variants.a: all rows share seed"),
        ({"methods": ("a",), "variants": {"a": {"method": "b"}}}, "no such method or variant; got 'b'"),
        ({"methods": ("a/b",), "variants": {"a/b": {}}}, "variants: a row's name"),
    ],
)
def test_wrong_bench_recipes_are_one_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        cells(BenchRecipe(base=BASE, **changes))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bench_recipes_from_files(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("base: digits\nmethods: [random, wmdd]\nipcs: [1, 5]\n", encoding="utf-8")
    assert choose_bench("a/folder", path) == BenchRecipe(base=find_recipe("digits"), ipcs=(1, 5))
    path.write_text("ipc: 3\nmethod: random\n", encoding="utf-8")
    assert choose_bench("a/folder", path) == BenchRecipe(
        base={"ipc": 3, "method": "random"}, methods=("random", "random"), ipcs=(3,)
    )
    assert choose_bench("digits", None).base == BenchRecipe(base=find_recipe("digits")).base
    assert choose_bench("digits", "paper_lambda") == BENCHES["paper_lambda"]()
    for text, message in (
        ("base: {recover: {lrr: 1}}", "recover.lrr"),
        ("base: digitz", "did you mean 'digits'"),
        ("base: null", "bench.base: not a section"),
        ("base: mine.yaml", "unknown recipe; got 'mine.yaml'"),
        ("base: []", "bench.base: not a section"),
        ("methods: null", "bench.methods: not a list"),
        ("base: {}\nvariants: {x: null}", "bench.variants.x: not a section"),
        ("base: {data: 1, data.workers: 2}", "data is a setting, not a section"),
        ("base: {data.workers: 2, data: 1}", "a section, not a setting"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError, match=message) as caught:
            choose_bench("digits", path)
        assert str(path) in str(caught.value)
    with pytest.raises(ConfigError, match="did you mean 'paper_main'"):
        choose_bench("digits", "paper_mian")
    with pytest.raises(ConfigError, match="type `wmdd bench DATA --recipe paper_main`"):
        find_recipe("paper_main")


def test_a_cell_has_a_name() -> None:
    assert Cell(row="dm", recipe=Recipe(ipc=5, seed=2)).name == "dm-ipc5-seed2"
