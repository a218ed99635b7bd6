"""Every command that reads the files of a run or of a bench succeeds or says one line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_run import ARCH, BENCH, SCORE

from damage import json_text, or_one_line
from mutations import damaged, damaged_json
from wmdd.cli.main import main
from wmdd.errors import ArtifactError, ConfigError
from wmdd.pipeline.bench_file import read_bench
from wmdd.pipeline.metrics import join_scores, joined_scores
from wmdd.pipeline.run_files import read_metrics
from wmdd.pipeline.status import run_status
from wmdd.recipes import choose_bench, choose_recipe
from wmdd.report import write_bench, write_report
from wmdd.settings.yaml_tree import load_yaml

DEEP = "[" * 5000


def evaluate(run: Path) -> int:
    return main(["evaluate", str(run), "--data", "digits", "--students", ARCH, "--epochs", "1", "--seeds", "1"])


@pytest.mark.parametrize("content", ["{}", "[]", "null", "3", '"x"', "{", "", DEEP, '{"a":' * 5000, "\0", "\udcff"])
@pytest.mark.parametrize("file", ["run.json", "metrics.json", "evaluations/scores.json", "distilled/manifest.json"])
def test_what_is_no_file_of_a_run_is_one_line(
    run: Path, file: str, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / file).write_text(content, errors="surrogateescape")
    for command in (lambda: main(["report", str(run)]), lambda: main(["status", str(run)]), lambda: evaluate(run)):
        code, said = command(), capsys.readouterr()
        assert code in {0, 2}
        if code == 2:
            assert said.err.splitlines()[-1].startswith("wmdd: error: ")
    assert code == 2  # `wmdd evaluate` reads all of them


@pytest.mark.parametrize("name", ["../run", "/etc", "..", ".", "a/b", "", "\0", 3, None, [], {}])
def test_a_run_names_results_of_its_store_only(run: Path, name: Any) -> None:
    known = json.loads((run / "run.json").read_text())
    for changes in (
        {"results": [{"stage": "squeeze", "folder": name}]},
        {"current": name} if name is not None else {"current": []},
        {"teachers": [name]},
        {"labelling": [name]},
        {"sets": [name]},
    ):
        (run / "run.json").write_text(json.dumps({**known, **changes}))
        with pytest.raises(ArtifactError, match=r"run\.json is damaged; got [^\n]*$"):
            run_status(run)


def test_status_and_report_of_a_run_under_way(run: Path) -> None:
    known = json.loads((run / "run.json").read_text())
    for name in ("metrics.json", "report.html", "recipe.yaml"):
        (run / name).unlink()
    shutil.rmtree(run / "distilled")
    at_work = Path(known["store"]) / "recover-underway"
    at_work.mkdir()
    (at_work / "log.jsonl").write_text('{"unit": "group 1", "step": 4}\n{"unit": "group 1", "st')
    with (run / "log.jsonl").open("a") as log:
        log.write('{"stage": "recover", "st')
    (run / "run.json").write_text(json.dumps({**known, "current": at_work.name}))
    status = run_status(run)
    assert status.sentence.startswith("unfinished")
    assert status.rows[-1][:2] == ("recover", "begun, unit group 1, step 4")
    assert "Unfinished run." in write_report(run).read_text("utf-8")
    for content in (DEEP, "[]", '{"unit": {}, "step": []}', "\xff"):
        (at_work / "log.jsonl").write_text(content)
        assert run_status(run).rows[-1][1].startswith("begun")
    shutil.rmtree(at_work)


def test_a_damaged_result_is_said_by_status(run: Path, tmp_path: Path) -> None:
    known = json.loads((run / "run.json").read_text())
    store = tmp_path / "store"
    for entry in known["results"]:
        (store / entry["folder"]).mkdir(parents=True, exist_ok=True)
        (store / entry["folder"] / "manifest.json").write_text("{}")
    (run / "run.json").write_text(json.dumps({**known, "store": str(store)}))
    assert {row[1] for row in run_status(run).rows} == {"damaged"}


def test_joined_scores_that_are_damaged_stop_a_run_before_they_are_lost(run: Path) -> None:
    assert [score["seed"] for score in joined_scores(run)] == [7]
    (run / "evaluations" / "scores.json").write_text('{"of": {}, "scores": [{}]}')
    with pytest.raises(ArtifactError, match=r"scores\.0\.\w+: Field required.*remove it: its scores are lost"):
        joined_scores(run)


@pytest.mark.parametrize("content", ["{}", "[]", DEEP, '{"schema": 1}', '{"schema": 1, "cells": [{}]}'])
@pytest.mark.parametrize("command", ["report", "status"])
def test_a_bench_that_is_none_is_one_line(
    tmp_path: Path, content: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bench.json").write_text(content)
    assert main([command, str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


READERS: dict[str, Callable[[Path], object]] = {
    "run.json": run_status,
    "metrics.json": lambda run: (read_metrics(run), write_report(run)),
    "recipe.yaml": write_report,
    "log.jsonl": write_report,
    "evaluations/scores.json": lambda run: (joined_scores(run), join_scores(run, [SCORE], [])),
    "distilled/manifest.json": write_report,
    "distilled/data/train-00000-of-00001.parquet": write_report,
}


@pytest.mark.slow
@pytest.mark.parametrize("file", READERS)
@pytest.mark.parametrize("seed", range(100))
def test_damage_of_a_run_file_is_one_line_or_other_data(
    finished_run: Path, tmp_path: Path, file: str, seed: int
) -> None:
    """Files of a run have no check sums: another number in them is other data, which the same command writes anew.

    The images of the page do: they are those that were written, or it is one line.
    """
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    content = (run / file).read_bytes()
    (run / file).write_bytes(damaged(content, seed))
    read = or_one_line(lambda: READERS[file](run))
    if file.endswith(".parquet"):
        assert read is None
    if file.endswith((".json", ".yaml")):
        value = json.loads(content) if file.endswith("json") else load_yaml(content.decode())
        (run / file).write_text(json_text(damaged_json(value, seed)))
        or_one_line(lambda: READERS[file](run))


@pytest.mark.parametrize("name", ["x" * 400, "a\nb", "/dev/null", "nowhere/at/all"])
@pytest.mark.parametrize("command", ["report", "status"])
def test_what_is_no_folder_is_one_line(name: str, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, name]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_recipe_that_no_disk_could_hold_is_an_unknown_one() -> None:
    for choose in (choose_recipe, choose_bench):
        with pytest.raises(ConfigError, match=r"^unknown recipe; got [^\n]*$"):
            choose("digits", "x" * 400)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(200))
def test_damage_of_a_bench_is_one_line_or_other_data(tmp_path: Path, seed: int) -> None:
    for content in (json_text(damaged_json(BENCH, seed)).encode(), damaged(json.dumps(BENCH).encode(), seed)):
        (tmp_path / "bench.json").write_bytes(content)
        for read in (read_bench, run_status, write_bench):
            or_one_line(lambda read=read: read(tmp_path))
