"""The transport solver is compiled in a process of its own, which the run waits for."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wmdd.pipeline import compiling as module
from wmdd.pipeline.compiling import compiling_ahead

RUN = """
import numpy as np
from wmdd.ot import Problem, kmeans, kmeans_plus_plus, random_cost, wasserstein1, wasserstein_barycenter
draw = np.random.default_rng(1)
points = draw.normal(size=(200, 16))
problem = Problem.of(points, 5, start=kmeans_plus_plus(points, 5, draw), seed=0)
found = wasserstein_barycenter(problem)
kmeans(problem), random_cost(points, 5, draw, draws=2), wasserstein1(found.atoms, points, found.weights)
"""


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A process of half a second in place of the compiler, on two processors; the file that it leaves when done."""
    done = tmp_path / "done"
    script = tmp_path / "slow.py"
    script.write_text(f"import time, pathlib\ntime.sleep(0.5)\npathlib.Path({str(done)!r}).touch()\n")
    monkeypatch.setattr(module, "processors", lambda: 2)
    popen = subprocess.Popen
    monkeypatch.setattr(module.subprocess, "Popen", lambda words, **given: popen([words[0], str(script)], **given))
    return done


def test_the_run_waits_for_the_compiler(started: Path) -> None:
    with compiling_ahead(needed=True):
        assert not started.exists()
    assert started.exists()


def test_an_error_ends_the_compiler(started: Path) -> None:
    with pytest.raises(KeyboardInterrupt), compiling_ahead(needed=True):
        raise KeyboardInterrupt
    time.sleep(0.7)
    assert not started.exists()


def test_nothing_is_started_without_need_or_on_one_processor(started: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with compiling_ahead(needed=False):
        pass
    monkeypatch.setattr(module, "processors", lambda: 1)
    with compiling_ahead(needed=True):
        pass
    assert not started.exists()


@pytest.mark.slow
def test_a_run_finds_all_that_was_compiled_ahead(tmp_path: Path) -> None:
    def code() -> set[str]:
        return {path.name for path in tmp_path.rglob("*.nbc")}

    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-m", "wmdd.ot.ahead"], env=environment, check=True)
    ahead = code()
    subprocess.run([sys.executable, "-c", RUN], env=environment, check=True)
    assert ahead
    assert code() == ahead
