"""What a finished run is worth: random images in growing numbers, made once, under the rules of its own students."""

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from test_killed_runs import strike, unfinished

import wmdd
from wmdd.errors import ConfigError, DataError
from wmdd.evaluation.comparison import Comparison
from wmdd.evaluation.exchange import exchange_rate
from wmdd.pipeline.watchers import Watcher

ARCH = "convnet1_w8_bn"
TINY: dict[str, Any] = {
    "ipc": 1,
    "device": "cpu",
    "precision": "fp32",
    "save_every": 0,
    "squeeze": {"arch": ARCH, "epochs": 1},
    "evaluate": {"students": (ARCH,), "epochs": 6, "seeds": 2, "labels": "soft", "references": ("random",)},
}
DRAWS = 2
MULTIPLES = (2, 5)
ASKED: dict[str, Any] = {"multiples": MULTIPLES, "draws": DRAWS}
SETS = ["herding", "random", "random ×2", "random ×5"]


class Made(Watcher):
    """Hears which stages were made, and what was said."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)

    def warn(self, text: str) -> None:
        self.said.append(text)

    def end(self, stage: str, seconds: float, reused: bool) -> None:
        del seconds
        if not reused:
            self.made.append(stage)


def evaluations(run: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((run / "metrics.json").read_text("utf-8"))["evaluations"]
    return found


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of herding that nobody has asked yet what it is worth; its store is beside."""
    place = tmp_path_factory.mktemp("worth")
    wmdd.distill("digits", method="herding", out=place / "run", store=place / "store", **TINY)
    return place / "run"


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.fixture(scope="session")
def asked(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[Comparison, ...], Made]:
    """A run that was asked, what was answered, and what was made for it."""
    run = Path(shutil.copytree(finished, tmp_path_factory.mktemp("asked") / "run"))
    listener = Made()
    return run, wmdd.worth(run, "digits", watcher=listener, **ASKED), listener


def test_pools_of_each_draw_join_the_scores_of_the_run(asked: tuple[Path, Any, Made], finished: Path) -> None:
    run, _, listener = asked
    found = {(row["set"], row["distill_seed"], row["seed"]) for row in evaluations(run)}
    drawn = {(name, draw, seed) for name in SETS[1:] for draw in range(DRAWS) for seed in (0, 1)}
    assert found == {*drawn, ("herding", 0, 0), ("herding", 0, 1)}
    assert evaluations(run)[:4] == evaluations(finished)
    assert {(row["protocol"], row["fingerprint"], row["labelled_by"], row["seen"]) for row in evaluations(run)} == {
        (row["protocol"], row["fingerprint"], row["labelled_by"], row["seen"]) for row in evaluations(finished)
    }
    # The run has random images of its own seed, and its own students, already.
    again = ["pool random ×2", "pool random ×5"]
    assert listener.made == [*again, "random", "relabel random", "evaluate random", *again]
    assert any(text.startswith("Random real images of 3 numbers, 2 draws each") for text in listener.said)


def test_further_draws_are_those_of_runs_of_random_images_from_other_seeds(
    asked: tuple[Path, Any, Made], finished: Path, tmp_path: Path
) -> None:
    store = finished.parent / "store"
    other = wmdd.distill("digits", method="random", seed=1, out=tmp_path / "random", store=store, **TINY)
    drawn = [row for row in evaluations(asked[0]) if (row["set"], row["distill_seed"]) == ("random", 1)]
    assert drawn == other.metrics["evaluations"]


def test_the_answer_is_the_exchange_rate_of_the_scores_in_the_file(
    asked: tuple[Path, tuple[Comparison, ...], Made],
) -> None:
    run, (pair,), _ = asked
    rows = evaluations(run)
    of = {name: [row for row in rows if row["set"] == name] for name in SETS}
    assert pair.worth is not None
    assert pair.worth.rate == exchange_rate(of["herding"], {1: of["random"], 2: of["random ×2"], 5: of["random ×5"]})
    assert {multiple: row.counts for multiple, row in pair.block.curve.items()} == dict.fromkeys((1, 2, 5), "2 × 2")
    page = (run / "report.html").read_text("utf-8")
    assert "One image of herding is worth" in page.replace("Herding", "herding")
    assert "random real images ×5" in page


def test_a_second_call_repeats_nothing(asked: tuple[Path, tuple[Comparison, ...], Made]) -> None:
    run, answer, _ = asked
    before, listener = (run / "metrics.json").read_bytes(), Made()
    assert wmdd.worth(run, "digits", watcher=listener, **ASKED) == answer
    assert listener.made == []
    assert (run / "metrics.json").read_bytes() == before


def test_what_is_not_said_is_as_in_the_run_and_the_set_has_students_where_it_lacks_them(run: Path) -> None:
    listener = Made()
    found = wmdd.worth(run, "digits", multiples=[2], draws=1, protocols=["hard"], seeds=1, watcher=listener)
    assert [pair.row.conditions.protocol.partition(",")[0] for pair in found] == ["hard"]
    assert [pair.row.n for pair in found] == [1]
    assert "evaluate herding" in listener.made
    hard = [row for row in evaluations(run) if row["protocol"] == "hard"]
    assert [(row["set"], row["seed"]) for row in hard] == [("herding", 0), ("random", 0), ("random ×2", 0)]
    made = Made()
    wmdd.worth(run, "digits", multiples=[2], draws=1, protocols=["hard"], seeds=1, watcher=made)
    assert made.made == []


def test_scores_stay_when_the_run_is_repeated(asked: tuple[Path, Any, Made], finished: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(asked[0], tmp_path / "run"))
    before = evaluations(run)
    wmdd.distill("digits", method="herding", out=run, store=finished.parent / "store", **TINY)
    assert sorted(sorted(row.items(), key=str) for row in evaluations(run)) == sorted(
        sorted(row.items(), key=str) for row in before
    )


def test_killed_and_asked_again_it_ends_as_if_nobody_had_disturbed_it(
    asked: tuple[Path, Any, Made], tmp_path: Path
) -> None:
    place = tmp_path / "killed"
    wmdd.distill("digits", method="herding", out=place / "run", store=place / "store", **TINY)
    words = ["worth", str(place / "run"), "--data", "digits", "--draws", str(DRAWS), "--multiples", "2", "5"]
    assert strike(words, "pool", signal.SIGKILL).returncode == -signal.SIGKILL
    assert unfinished(place / "store", "pool")
    assert len(evaluations(place / "run")) == 4  # the first draw was not finished
    wmdd.worth(place / "run", "digits", **ASKED)
    assert evaluations(place / "run") == evaluations(asked[0])


def test_numbers_that_the_data_do_not_have_are_left_out_with_a_warning(run: Path) -> None:
    listener = Made()
    (pair,) = wmdd.worth(run, "digits", multiples=[2, 900], draws=1, seeds=1, watcher=listener)
    assert {*pair.block.curve} == {1, 2}
    line = next(text for text in listener.said if "×900" in text)
    assert line.startswith("no pools of ×900 random real images beside 1 a class, because class ")
    warnings = json.loads((run / "metrics.json").read_text("utf-8"))["warnings"]
    assert [each["kind"] for each in warnings if each["text"] == line] == ["fewer pools"]


def test_one_line_if_no_number_is_there(run: Path) -> None:
    with pytest.raises(DataError, match=r"^worth: no pools of ×400, ×500 random real images beside 1 a class, because"):
        wmdd.worth(run, "digits", multiples=[400, 500])


def test_a_run_of_random_images_has_no_rate(finished: Path, tmp_path: Path) -> None:
    store = finished.parent / "store"
    wmdd.distill("digits", method="random", out=tmp_path / "run", store=store, **TINY)
    with pytest.raises(ConfigError, match="got a run of method random"):
        wmdd.worth(tmp_path / "run", "digits")


def test_protocols_without_students_have_no_rate(run: Path) -> None:
    with pytest.raises(ConfigError, match="got kernel; give another one"):
        wmdd.worth(run, "digits", protocols=["kernel"])


BENCH: dict[str, Any] = {
    "methods": ["herding"],
    "ipcs": [1],
    "distill_seeds": 2,
    **{name: value for name, value in TINY.items() if name != "ipc"},
}


@pytest.fixture(scope="session")
def benched(finished: Path) -> tuple[Path, Made]:
    """A bench with pools, which shares the store of the run; its base has the run's settings."""
    place, listener = finished.parent, Made()
    wmdd.bench("digits", worth=True, out=place / "bench", store=place / "store", watcher=listener, **BENCH)
    return place / "bench", listener


def test_pools_of_a_bench_stand_beside_its_random_images_alone(benched: tuple[Path, Made]) -> None:
    out, listener = benched
    cells = json.loads((out / "bench.json").read_text("utf-8"))["cells"]
    assert [cell["error"] for cell in cells] == [""] * 4
    pools = {f"random ×{multiple}" for multiple in (2, 3, 5, 10)}
    for cell in cells:
        beside = {row["set"] for row in cell["beside"]}
        assert beside == (pools if cell["row"] == "random" else {"random"})
        assert {row["distill_seed"] for row in cell["beside"]} == {cell["seed"]}
    assert any("random images in growing numbers" in text for text in listener.said)
    texts = {name: (out / f"bench.{name}").read_text("utf-8") for name in ("md", "tex", "html")}
    assert "| method | worth, IPC 1 |" in texts["md"]
    assert "Method & Worth, IPC 1" in texts["tex"]
    assert "What an image is worth" in texts["html"]


def test_pools_of_a_bench_are_those_of_a_run(benched: tuple[Path, Made], asked: tuple[Path, Any, Made]) -> None:
    cells = json.loads((benched[0] / "bench.json").read_text("utf-8"))["cells"]
    beside = [row for cell in cells if cell["row"] == "random" for row in cell["beside"]]
    for name in ("random ×2", "random ×5"):
        of_bench = {(row["distill_seed"], row["seed"]): row["top1"] for row in beside if row["set"] == name}
        of_run = {
            (row["distill_seed"], row["seed"]): row["top1"] for row in evaluations(asked[0]) if row["set"] == name
        }
        assert of_bench == of_run


def test_a_bench_repeats_no_pool_and_makes_them_later(
    benched: tuple[Path, Made], finished: Path, tmp_path: Path
) -> None:
    store, again = finished.parent / "store", Made()
    for worth in (True, False):
        wmdd.bench("digits", worth=worth, out=benched[0], store=store, watcher=again, **BENCH)
        assert again.made == []
    wmdd.bench("digits", out=tmp_path / "bench", store=tmp_path / "store", watcher=again, **BENCH)
    assert not any(name.startswith("pool") for name in again.made)
    later = Made()
    wmdd.bench("digits", worth=True, out=tmp_path / "bench", store=tmp_path / "store", watcher=later, **BENCH)
    assert {name.partition(" ×")[0] for name in later.made} == {"pool random"}
    assert len(later.made) == 2 * 4
