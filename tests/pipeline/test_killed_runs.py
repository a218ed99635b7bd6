"""A run that was killed or interrupted anywhere ends with the bytes of one that was not."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import wmdd
from wmdd.cli.main import main
from wmdd.pipeline.status import run_status

ARCH = "convnet1_w8_bn"
SETTINGS = {
    "ipc": 1,
    "device": "cpu",
    "precision": "fp32",
    "save_every": 0,
    "squeeze.arch": ARCH,
    "squeeze.epochs": 3,
    "recover.iterations": 20,
    "evaluate.students": ARCH,
    "evaluate.epochs": 6,
    "evaluate.seeds": 1,
    "evaluate.labels": "soft",
    "evaluate.references": "random",
}
WORDS = [word for name, value in SETTINGS.items() for word in (f"--{name}", str(value))]
STRUCK = """
import os, sys
from wmdd.cli.main import main
from wmdd.pipeline.screen import Screen

number, stage, *words = sys.argv[1:]
shown, struck = Screen.progress, []

def progress(self, name, done, total):
    shown(self, name, done, total)
    if name.split()[0] == stage and 2 * done >= total and not struck:
        struck.append(done)
        os.kill(os.getpid(), int(number))

Screen.progress = progress
sys.exit(main(words))
"""
"""A command that sends itself a signal in the middle of a stage: a state is saved by then, and the stage unfinished."""


def command(place: Path) -> list[str]:
    return ["distill", "digits", "--out", str(place / "run"), "--store", str(place / "store"), *WORDS]


def strike(words: list[str], stage: str, number: signal.Signals) -> "subprocess.CompletedProcess[str]":
    """Run a command as a process of its own that is signalled in the middle of a stage."""
    return subprocess.run(
        [sys.executable, "-c", STRUCK, str(int(number)), stage, *words],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def unfinished(store: Path, stage: str) -> bool:
    """Tell whether a stage has saved a state, and no result."""
    return any(store.glob(f"{stage}-*/work/*.safetensors")) and not any(store.glob(f"{stage}-*/manifest.json"))


def product(place: Path) -> dict[str, bytes]:
    folder = place / "run" / "distilled"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="session")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], Any]:
    """The product and the scores of a run that nobody disturbed."""
    place = tmp_path_factory.mktemp("unbroken")
    lists = {"evaluate.students": (ARCH,), "evaluate.references": ("random",)}
    run = wmdd.distill("digits", out=place / "run", store=place / "store", **{**SETTINGS, **lists})
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
    assert strike(command(tmp_path), stage, signal.SIGKILL).returncode == -signal.SIGKILL
    assert unfinished(tmp_path / "store", stage)
    check_resumed(tmp_path, unbroken)


@pytest.mark.parametrize(
    ("number", "word"),
    [(signal.SIGINT, "interrupted"), pytest.param(signal.SIGTERM, "terminated", marks=pytest.mark.slow)],
)
def test_a_signal_saves_the_state_and_says_so(
    tmp_path: Path, unbroken: tuple[dict[str, bytes], Any], number: signal.Signals, word: str
) -> None:
    process = strike(command(tmp_path), "recover", number)
    assert process.returncode == 128 + number
    assert process.stderr.splitlines()[-1] == f"wmdd: {word}; the state is saved: the same command continues"
    assert "Traceback" not in process.stderr
    assert unfinished(tmp_path / "store", "recover")
    check_resumed(tmp_path, unbroken)


def scores_of_bench(place: Path) -> list[tuple[str, str, Any]]:
    results = json.loads((place / "run" / "bench.json").read_text("utf-8"))
    return [(cell["folder"], cell["state"], cell["scores"]) for cell in results["cells"]]


@pytest.mark.slow
@pytest.mark.parametrize("name", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_bench_that_was_stopped_in_the_middle_of_a_cell_goes_on(
    tmp_path: Path, unbroken: tuple[dict[str, bytes], Any], name: signal.Signals
) -> None:
    settings = [word for pair in zip(WORDS[::2], WORDS[1::2], strict=True) if pair[0] != "--ipc" for word in pair]
    words = ["bench", *command(tmp_path)[1:6], "--ipc", "1", "--distill-seeds", "1", *settings]
    assert strike(words, "recover", name).returncode == (-name if name is signal.SIGKILL else 128 + name)
    assert unfinished(tmp_path / "store", "recover")
    assert [state for _, state, _ in scores_of_bench(tmp_path)] == ["finished", "waiting"]
    assert main(words) == 0
    found = {folder.partition("-")[0]: scores for folder, _, scores in scores_of_bench(tmp_path)}
    both = unbroken[1]
    assert found["cells/wmdd"] == [score for score in both if score["set"] == "wmdd"]
    assert found["cells/random"] == [score for score in both if score["set"] == "random"]
