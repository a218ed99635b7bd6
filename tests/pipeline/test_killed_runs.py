"""A run that was killed or interrupted anywhere ends with the bytes of one that was not."""

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
DEADLINE = 90.0


def command(place: Path) -> list[str]:
    return ["distill", "digits", "--out", str(place / "run"), "--store", str(place / "store"), *WORDS]


@contextmanager
def started(place: Path) -> Iterator["subprocess.Popen[str]"]:
    """Start the command as a process of its own, and leave none behind."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "wmdd", *command(place)], stderr=subprocess.PIPE, text=True, env=environment
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
    run = wmdd.distill("digits", out=place / "run", store=place / "store", **{**SETTINGS, "evaluate.students": (ARCH,)})
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
    with started(tmp_path) as process:
        wait_for_state(process, tmp_path / "store", stage)
        process.kill()
        assert process.wait(timeout=DEADLINE) == -signal.SIGKILL
    assert not finished(tmp_path / "store", stage)
    check_resumed(tmp_path, unbroken)


def test_ctrl_c_saves_the_state_and_says_so(tmp_path: Path, unbroken: tuple[dict[str, bytes], Any]) -> None:
    with started(tmp_path) as process:
        wait_for_state(process, tmp_path / "store", "recover")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "wmdd: interrupted; the state is saved: the same command continues"
    assert "Traceback" not in err
    assert not finished(tmp_path / "store", "recover")
    check_resumed(tmp_path, unbroken)
