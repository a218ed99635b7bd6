"""Several workers end with the bytes of one, share the units of work, and outlive each other; only the first speaks."""

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
import torch
from worker_processes import environment, files_of, results_of, run_workers, words_of

from wmdd.artifacts.folder import ResultFolder, Store
from wmdd.artifacts.locks import Claim, Claims, HeldError, locked
from wmdd.cli.main import main
from wmdd.context import Context, Saved, every_unit
from wmdd.errors import ArtifactError, ConfigError
from wmdd.methods.catalogue import complete
from wmdd.pipeline import group
from wmdd.pipeline.compiling import needs_compiling
from wmdd.pipeline.fresh import Fresh
from wmdd.pipeline.runner import GivenResult, Runner
from wmdd.pipeline.shared_context import SharedContext
from wmdd.pipeline.threads import threads_of
from wmdd.pipeline.watchers import Watcher
from wmdd.pipeline.workers import Worker, this_worker
from wmdd.settings import NoSettings, Section, StatisticsSettings
from wmdd.stages.classes import classes_in_threads
from wmdd.stages.stage import Stage
from wmdd.stages.statistics import statistics
from wmdd.values import Evaluation, ImageSet, Score, Teacher

SCORE = Score(set="a", ipc=1, student="b", protocol="c", labels="soft", seed=0, top1=1.0, top5=2.0, top1_best=3.0)
ARCH = "convnet1_w8_bn"
SETTINGS = {
    "ipc": 1,
    "device": "cpu",
    "precision": "fp32",
    "save_every": 0,
    "squeeze.arch": ARCH,
    "squeeze.epochs": 2,
    "recover.iterations": 20,
    "recover.batch": 2,
    "evaluate.students": ARCH,
    "evaluate.epochs": 3,
    "evaluate.seeds": 2,
    "evaluate.labels": "soft",
    "evaluate.references": "random",
}
UNTIL = ("--until", "evaluate")
STRUCK = """
import os, pathlib, signal, sys, time
from wmdd.cli.main import main
from wmdd.pipeline.screen import Screen

stage, rank, mark = os.environ["STRUCK"], os.environ["RANK"], pathlib.Path(os.environ["MARK"])
first_try = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0"
shown = Screen.progress

def progress(self, name, done, total):
    shown(self, name, done, total)
    if name.split()[0] != stage or not first_try:
        return
    if rank == "1" and done > 1:
        mark.write_text(f"{done} of {total}")
        os.kill(os.getpid(), signal.SIGKILL)
    until = time.monotonic() + (60 if stage != "squeeze" else 0)
    while rank == "0" and not mark.exists() and time.monotonic() < until:
        time.sleep(0.05)

Screen.progress = progress
sys.exit(main(sys.argv[1:]))
"""
"""A command whose second worker is killed in the middle of a stage, for which the first one waits."""


def command(place: Path, *more: str) -> list[str]:
    words = ["distill", "digits", "--out", str(place / "run"), "--store", str(place / "store"), *words_of(SETTINGS)]
    return [*words, *more]


def with_teacher_of(alone: Path, place: Path) -> Path:
    """Give a place the finished teacher of another one: in step it is trained to rounding alone."""
    for folder in (alone / "store").glob("squeeze-*"):
        shutil.copytree(folder, place / "store" / folder.name)
    return place


def scores_of(place: Path) -> Any:
    return json.loads((place / "run" / "metrics.json").read_text("utf-8"))["evaluations"]


def check_same_results(place: Path, alone: Path) -> None:
    """Compare results with those of one process."""
    found, expected = (results_of(each / "store") for each in (place, alone))
    assert found.keys() == expected.keys()
    assert [name for name, content in found.items() if content != expected[name]] == []


def check_same_run(place: Path, alone: Path) -> None:
    """Compare results, product and scores with those of a run by one process."""
    check_same_results(place, alone)
    assert files_of(place / "run" / "distilled") == files_of(alone / "run" / "distilled")
    assert scores_of(place) == scores_of(alone)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run by one process, which stops after it has evaluated its set."""
    place = tmp_path_factory.mktemp("alone")
    assert main(command(place, *UNTIL)) == 0
    return place


@pytest.fixture(scope="module")
def alone(started: Path) -> Path:
    """The folder of a whole run by one process."""
    assert main(command(started)) == 0
    return started


@pytest.mark.timeout(400)
def test_two_workers_end_with_the_bytes_of_one_and_only_the_first_speaks(started: Path, tmp_path: Path) -> None:
    first, second = run_workers(command(with_teacher_of(started, tmp_path), *UNTIL))
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert first.stdout == "stopped after evaluate; the same command without --until goes on\n"
    assert "recover" in first.stderr
    assert (second.stdout, second.stderr) == ("", "")
    check_same_results(tmp_path, started)
    logs = [(place / "run" / "log.jsonl").read_text("utf-8").splitlines() for place in (tmp_path, started)]
    assert sorted(logs[0]) == sorted(logs[1])


@pytest.mark.timeout(400)
def test_the_units_of_a_worker_that_is_killed_are_made_by_another(started: Path, tmp_path: Path) -> None:
    words, mark = command(with_teacher_of(started, tmp_path), *UNTIL), tmp_path / "mark"
    first, second = run_workers(words, script=STRUCK, STRUCK="recover", MARK=str(mark))
    assert mark.exists()
    assert second.returncode == -signal.SIGKILL
    assert first.returncode == 0, first.stderr
    check_same_results(tmp_path, started)


@pytest.mark.slow
def test_two_workers_write_the_run_of_one(alone: Path, tmp_path: Path) -> None:
    first, second = run_workers(command(with_teacher_of(alone, tmp_path)))
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "report: " in first.stdout
    assert (second.stdout, second.stderr) == ("", "")
    check_same_run(tmp_path, alone)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["squeeze", "recover", "evaluate"])
def test_torchrun_starts_workers_again_after_one_was_killed(alone: Path, tmp_path: Path, stage: str) -> None:
    place = tmp_path if stage == "squeeze" else with_teacher_of(alone, tmp_path)
    (tmp_path / "command.py").write_text(STRUCK, encoding="utf-8")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launcher, "--max-restarts", "1", str(tmp_path / "command.py"), *command(place)],
        env=environment(STRUCK=stage, MARK=str(tmp_path / "mark")),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (tmp_path / "mark").exists()
    assert done.returncode == 0, done.stderr
    if stage == "squeeze":
        assert len(scores_of(place)) == len(scores_of(alone))
    else:
        check_same_run(place, alone)


@pytest.mark.slow
def test_two_workers_make_the_cells_of_a_bench(alone: Path, tmp_path: Path) -> None:
    own = {name: value for name, value in SETTINGS.items() if name not in ("ipc", "evaluate.references")}
    words = ["bench", "digits", "--methods", "random", "wmdd", "--ipcs", "1", "--distill-seeds", "1", *words_of(own)]
    places = [with_teacher_of(alone, tmp_path / name) for name in ("one", "two")]
    one, two = ([*words, "--out", str(place / "run"), "--store", str(place / "store")] for place in places)
    assert main(one) == 0
    first, second = run_workers(two)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert (second.stdout, second.stderr) == ("", "")
    cells = [json.loads((place / "run" / "bench.json").read_text("utf-8"))["cells"] for place in places]
    kept = ("row", "state", "scores", "beside", "bytes", "warnings")
    assert [[cell[name] for name in kept] for cell in cells[0]] == [[cell[name] for name in kept] for cell in cells[1]]
    assert results_of(places[0] / "store") == results_of(places[1] / "store")


def test_what_is_wrong_is_said_by_the_first_worker(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr("wmdd.cli.main.FIRST_SPEAKS", 0.0)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    assert main(["distil"]) == 2
    said = capsys.readouterr().err
    monkeypatch.setenv("RANK", "1")
    assert main(["distil"]) == 2
    assert capsys.readouterr().err == said.replace("error: ", "error: worker 2 of 2: ")
    assert main(["list", "methods"]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, Worker()),
        ({"RANK": "3"}, Worker()),
        ({"RANK": "3", "WORLD_SIZE": "4"}, Worker(rank=3, size=4)),
        ({"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1"}, Worker(rank=3, size=4, local_rank=1)),
    ],
)
def test_the_launcher_says_which_worker_this_is(
    given: dict[str, str], expected: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert this_worker() == expected
    assert (expected.first, expected.alone) == (expected.rank == 0, expected.size == 1)


@pytest.mark.parametrize("given", [("4", "4"), ("-1", "4"), ("0", "0"), ("one", "4")])
def test_impossible_numbers_of_a_worker_are_refused(given: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in zip(("RANK", "WORLD_SIZE"), given, strict=True):
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=f"got RANK='{given[0]}', WORLD_SIZE='{given[1]}'"):
        this_worker()


def test_a_unit_is_claimed_once_and_is_free_again_when_it_is_given_back(tmp_path: Path) -> None:
    one, two = (Claims(tmp_path / "claims") for _ in range(2))
    assert one.take("a") is Claim.MINE
    assert two.take("a") is Claim.ELSEWHERE
    assert two.take("b") is Claim.MINE
    one.give_back()
    assert two.take("a") is Claim.MINE
    two.finish("a")
    two.give_back()
    assert one.take("a") is Claim.MADE
    assert one.take("b") is Claim.MINE
    one.give_back()
    with pytest.raises(ArtifactError, match="cannot write"):
        Claims(tmp_path / "gone" / "claims").take("a")


def test_workers_that_are_started_again_do_not_read_what_dead_ones_wrote() -> None:
    launcher = torch.distributed.HashStore()
    workers = [Worker(rank=rank, size=3) for rank in range(3)]
    for attempt in range(3):
        with ThreadPoolExecutor(3) as pool:
            stores = list(pool.map(lambda worker: group.of_this_attempt(launcher, worker), workers))
        assert not stores[1].check(["address"])
        stores[0].set("address", str(attempt))
        assert [store.get("address") for store in stores] == [str(attempt).encode()] * 3


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    hold = (
        "import sys, time; from pathlib import Path; from wmdd.artifacts.locks import locked\n"
        "with locked(Path(sys.argv[1]), ''): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", hold, str(tmp_path / "lock")], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(HeldError, match="by somebody"), locked(tmp_path / "lock", "by somebody"):
            pytest.fail("held twice")
        holder.kill()
    with locked(tmp_path / "lock", "by nobody"):
        pass


@pytest.fixture
def make_context(tmp_path: Path) -> Callable[..., SharedContext]:
    """Return what makes the contexts of workers that share a result."""
    folder = ResultFolder(path=tmp_path / "result")
    folder.work.mkdir(parents=True)

    def make(leads: bool, **facts: Any) -> SharedContext:
        claims = Claims(folder.work / "claims")
        common = {"stage": "statistics", "title": "statistics", "folder": folder, "run_log": None, "threads": 1}
        return SharedContext(**common, watcher=Watcher(), claims=claims, leads=leads, **facts)

    return make


def test_a_leader_has_the_rows_that_others_wrote(
    image_set: ImageSet, teacher: Teacher, make_context: Callable[..., SharedContext]
) -> None:
    expected = statistics(image_set, teacher, StatisticsSettings())
    lead, helper = make_context(leads=True), make_context(leads=False)
    taken = helper.share([f"class-{label:05d}" for label in range(3)])
    assert [next(taken), next(taken)] == [[0], [1]]  # 0 counts as made, though nobody saved it: it is made again
    taken.close()
    statistics(image_set, teacher, StatisticsSettings(), ctx=helper)
    found = statistics(image_set, teacher, StatisticsSettings(), ctx=lead)
    for name in ("features", "means", "variances"):
        assert torch.equal(getattr(found, name), getattr(expected, name)), name


def test_units_are_shared_out_without_a_gap_or_an_overlap(make_context: Callable[..., SharedContext]) -> None:
    made: list[list[int]] = [[], []]
    both_at_work = threading.Barrier(2, timeout=30)

    def work(rank: int) -> None:
        ctx = make_context(leads=rank == 0)

        def compute(label: int) -> Saved:
            if label < 2:
                both_at_work.wait()
            made[rank].append(label)
            return Saved(tensors={"square": torch.tensor(label**2)}, facts={"label": label})

        found = classes_in_threads(compute, 9, row=lambda saved: saved.facts, ctx=ctx)
        assert found.tensors["square"].tolist() == [label**2 for label in range(9)]
        assert found.facts["label"] == list(range(9))
        if rank == 0:
            ctx.gather_logs()

    other = threading.Thread(target=work, args=(1,))
    other.start()
    work(0)
    other.join()
    assert sorted(made[0] + made[1]) == list(range(9))
    assert made[0]
    assert made[1]


def test_a_helper_that_is_late_leaves_nothing_behind_while_the_saved_state_is_removed(
    make_context: Callable[..., SharedContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    lead, helper = make_context(leads=True), make_context(leads=False)
    lead.save("unit", {"value": torch.zeros(1)})
    rmtree, attempts = (
        shutil.rmtree,
        (
            lambda: helper.restore("unit"),
            lambda: helper.save("unit", {"value": torch.zeros(1)}),
            lambda: helper.claims.take("unit"),
            lambda: helper.scratch((2,), torch.float32),
        ),
    )

    def slow(path: Path, **how: Any) -> None:
        for attempt in attempts:
            with pytest.raises(ArtifactError):
                attempt()
        rmtree(path, **how)

    monkeypatch.setattr("wmdd.artifacts.folder.shutil.rmtree", slow)
    lead.folder.commit(Evaluation(), {"stage": "statistics", "seconds": 0})
    assert {path.name for path in lead.folder.path.iterdir()} == {"manifest.json", "record.json", "tensors.safetensors"}


class Chain:
    """Two stages: `one` gives a number, `two` adds it to the number of each of its units; `two` may be killed."""

    def __init__(self, place: Path) -> None:
        self.store, self.out = Store(root=place / "store"), place / "out"
        self.out.mkdir()
        self.gives, self.killed = 1.0, False

    def run(self, worker: Worker, *, fresh: str | None = None) -> list[float]:
        """Return what the units of `two` gave this worker."""
        recipe = complete({"device": "cpu", "precision": "fp32"})
        places: dict[str, Any] = {"store": self.store, "out": self.out, "fresh": Fresh(stage=fresh)}
        runner = Runner(recipe=recipe, watcher=Watcher(), worker=worker, **places)
        images = GivenResult(key="images", record=None)
        one = runner.run(self._stage("one", 1), images, settings=NoSettings())
        return [score.top1 for score in runner.run(self._stage("two", 8), one, settings=NoSettings()).record.scores]

    def run_together(self) -> list[list[float]]:
        """Return what two workers found."""
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(self.run, (Worker(rank=rank, size=2) for rank in range(2))))

    def _stage(self, name: str, units: int) -> Stage:
        def run(before: Evaluation | None, settings: Section, *, ctx: Context) -> Evaluation:
            del settings
            start = self.gives if before is None else before.scores[0].top1

            def make(number: int) -> Score:
                saved = ctx.restore(f"unit {number}")
                value = start + number if saved is None else float(saved.facts["value"])
                time.sleep(0.02)
                ctx.save(f"unit {number}", {}, value=value)
                if name == "two" and self.killed and number == units // 2:
                    raise KeyboardInterrupt
                return replace(SCORE, seed=number, top1=value)

            return Evaluation(scores=tuple(every_unit([f"unit {number}" for number in range(units)], make, ctx)))

        return Stage(name=name, version=1, run=run, output=Evaluation, workers="units")


@pytest.mark.timeout(60)
def test_workers_make_again_what_was_made_from_another_result(tmp_path: Path) -> None:
    chain = Chain(tmp_path)
    expected = [1.0 + number for number in range(8)]
    assert chain.run_together() == [expected] * 2
    chain.gives = 10.0
    assert chain.run(Worker(), fresh="one") == [10.0 + number for number in range(8)]
    chain.gives = 1.0
    shutil.rmtree(next(chain.store.root.glob("one-*")))
    assert chain.run_together() == [expected] * 2
    left = [path.name for path in chain.store.root.iterdir() if path.is_dir()]
    assert sorted(name.split("-")[0] for name in left) == ["one", "two"]
    assert not [name for name in left if "." in name]


@pytest.mark.timeout(60)
def test_workers_drop_units_that_were_made_from_another_result(tmp_path: Path) -> None:
    chain = Chain(tmp_path)
    chain.killed = True
    with pytest.raises(KeyboardInterrupt):
        chain.run(Worker())
    shutil.rmtree(next(chain.store.root.glob("one-*")))
    chain.killed, chain.gives = False, 10.0
    assert chain.run_together() == [[10.0 + number for number in range(8)]] * 2


def test_nothing_is_made_anew_by_several_workers(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    for command in ("distill", "bench"):
        assert main([command, "digits", "--fresh", "squeeze"]) == 2
        said = capsys.readouterr().err
        assert said.startswith("wmdd: error: --fresh under several workers: ")
        assert said.endswith("; run it in one process\n")


def test_a_worker_keeps_its_launchers_threads_and_the_first_alone_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wmdd.pipeline.threads.choose_threads", lambda *given: (given[1] + 1, "of this"))
    monkeypatch.setattr("wmdd.pipeline.compiling.compiled_before", lambda: False)
    before, plan = torch.get_num_threads(), MagicMock()
    plan.method.stages, plan.references = ("statistics",), ()
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank, compiles in (("0", True), ("1", False)):
        monkeypatch.setenv("RANK", rank)
        with threads_of("auto", Watcher()):
            assert torch.get_num_threads() == before
        assert needs_compiling([plan]) is compiles


def test_a_notebook_has_all_units_at_once() -> None:
    assert list(Context().share(["a", "b", "c"])) == [range(3)]
