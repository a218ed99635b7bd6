"""A finished run of digits, made once, and a copy of its folder to spoil."""

import shutil
from pathlib import Path

import pytest
from tiny_run import SCORE, TINY

import wmdd
from wmdd.pipeline.metrics import join_scores


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run, which has been evaluated once more."""
    place = tmp_path_factory.mktemp("finished_run")
    wmdd.distill("digits", out=place / "run", store=place / "store", **TINY)
    (place / "run" / "evaluations").mkdir()
    join_scores(place / "run", [SCORE], [])
    return place / "run"


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished_run, tmp_path / "run")
    return tmp_path / "run"
