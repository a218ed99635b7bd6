"""A run that was killed or interrupted anywhere ends with the bytes of one that was not."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import wmdd
from wmdd.artifacts import formats
from wmdd.cli.main import main
from wmdd.pipeline.status import run_status

pytestmark = pytest.mark.xdist_group("killed")

ARCH = "convnet1_w8_bn"
SETTINGS = {
    "ipc": 1,
    "device": "cpu",
    "precision": "fp32",
    "save_every": 0,
    "squeeze.arch": ARCH,
    "squeeze.epochs": 12,
    "recover.iterations": 120,
    "evaluate.students": ARCH,
    "evaluate.epochs": 60,
    "evaluate.seeds": 1,
}
WORDS = [word for name, value in SETTINGS.items() for word in (f"--{name}", str(value))]
IN_PROCESS: dict[str, Any] = {**SETTINGS, "evaluate.students": (ARCH,)}
DEADLINE = 90.0


def command(place: Path) -> list[str]:
    return ["distill", "digits", "--out", str(place / "run"), "--store", str(place / "store"), *WORDS]


@contextmanager
def started(words: list[str]) -> Iterator["subprocess.Popen[str]"]:
    """Start a command as a process of its own, and leave none behind."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "wmdd", *words], stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for_state(process: "subprocess.Popen[str]", store: Path, stage: str) -> None:
    """Return as soon as the stage has saved a state."""
    for _ in range(int(DEADLINE / 0.002)):
        if any(store.glob(f"{stage}-*/work/*.safetensors")):
            return
        try:
            process.wait(timeout=0.002)
        except subprocess.TimeoutExpired:
            continue
        break
    pytest.fail(f"no state of {stage} was seen; the process returned {process.returncode}")


def finished(store: Path, stage: str) -> bool:
    return any(store.glob(f"{stage}-*/manifest.json"))


def product(place: Path) -> dict[str, bytes]:
    folder = place / "run" / "distilled"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="session")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], Any]:
    """The product and the scores of a run that nobody disturbed."""
    place = tmp_path_factory.mktemp("unbroken")
    run = wmdd.distill("digits", out=place / "run", store=place / "store", **IN_PROCESS)
    return product(place), run.metrics["evaluations"]


def check_resumed(place: Path, unbroken: tuple[dict[str, bytes], Any]) -> None:
    """Run the command again to its end, and compare."""
    assert not (place / "run" / "metrics.json").exists()
    assert run_status(place / "run").sentence.startswith("unfinished")
    assert main(command(place)) == 0
    found = product(place)
    assert found.keys() == unbroken[0].keys()
    assert [name for name, content in found.items() if content != unbroken[0][name]] == []
    metrics = wmdd.distill(  # everything is finished: only the metrics are put together again
        "digits", recipe=place / "run" / "recipe.yaml", out=place / "run", store=place / "store"
    ).metrics
    assert metrics["evaluations"] == unbroken[1]


@pytest.mark.parametrize(
    "stage",
    [pytest.param("squeeze", marks=pytest.mark.slow), "recover", pytest.param("evaluate", marks=pytest.mark.slow)],
)
def test_kill_9_in_the_middle_of_a_stage(tmp_path: Path, unbroken: tuple[dict[str, bytes], Any], stage: str) -> None:
    with started(command(tmp_path)) as process:
        wait_for_state(process, tmp_path / "store", stage)
        process.kill()
        assert process.wait(timeout=DEADLINE) == -signal.SIGKILL
    assert not finished(tmp_path / "store", stage)
    check_resumed(tmp_path, unbroken)


class KilledError(BaseException):
    """Stands for the death of the process."""


@pytest.mark.parametrize(
    "survived", [pytest.param(0, marks=pytest.mark.slow), 2, pytest.param(60, marks=pytest.mark.slow)]
)
def test_a_kill_while_soft_labels_are_committed(
    tmp_path: Path, unbroken: tuple[dict[str, bytes], Any], monkeypatch: pytest.MonkeyPatch, survived: int
) -> None:
    moved: list[str] = []
    replace, plain_json = Path.replace, formats.write_json

    def dying_replace(self: Path, target: Path) -> Path:
        if self.parent.name == "work" and target.parent.name.startswith("relabel-"):
            if len(moved) == survived:
                raise KilledError
            moved.append(self.name)
        return replace(self, target)

    def dying_json(path: Path, value: Any) -> None:
        if path.parent.name.startswith("relabel-") and len(moved) == survived:
            raise KilledError
        plain_json(path, value)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", dying_replace)
        patch.setattr(formats, "write_json", dying_json)
        with pytest.raises(KilledError):
            wmdd.distill("digits", out=tmp_path / "run", store=tmp_path / "store", **IN_PROCESS)
    assert len(moved) == survived
    assert not finished(tmp_path / "store", "relabel")
    check_resumed(tmp_path, unbroken)


def test_ctrl_c_saves_the_state_and_says_so(tmp_path: Path, unbroken: tuple[dict[str, bytes], Any]) -> None:
    with started(command(tmp_path)) as process:
        wait_for_state(process, tmp_path / "store", "recover")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "wmdd: interrupted; the state is saved: the same command continues"
    assert "Traceback" not in err
    assert not finished(tmp_path / "store", "recover")
    check_resumed(tmp_path, unbroken)


def scores_of_bench(place: Path) -> list[tuple[str, str, Any]]:
    results = json.loads((place / "run" / "bench.json").read_text("utf-8"))
    return [(cell["folder"], cell["state"], cell["scores"]) for cell in results["cells"]]


@pytest.mark.slow
@pytest.mark.parametrize("name", [signal.SIGKILL, signal.SIGINT])
def test_a_bench_that_was_stopped_in_the_middle_of_a_cell_goes_on(
    tmp_path: Path, unbroken: tuple[dict[str, bytes], Any], name: signal.Signals
) -> None:
    settings = [word for pair in zip(WORDS[::2], WORDS[1::2], strict=True) if pair[0] != "--ipc" for word in pair]
    words = ["bench", *command(tmp_path)[1:6], "--ipc", "1", "--protocols", "wmdd", "--seeds", "1", *settings]
    with started(words) as process:
        wait_for_state(process, tmp_path / "store", "recover")
        process.send_signal(name)
        process.communicate(timeout=DEADLINE)
    assert process.returncode == (-signal.SIGKILL if name is signal.SIGKILL else 130)
    assert [state for _, state, _ in scores_of_bench(tmp_path)] == ["finished", "waiting"]
    assert main(words) == 0
    found = {folder.partition("-")[0]: scores for folder, _, scores in scores_of_bench(tmp_path)}
    both = unbroken[1]
    assert found["cells/wmdd"] == [score for score in both if score["set"] == "wmdd"]
    assert found["cells/random"] == [score for score in both if score["set"] == "random"]
