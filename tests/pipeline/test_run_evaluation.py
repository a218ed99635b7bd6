"""Further students of a finished run: whoever its teachers are, and with their scores in the run's own files."""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

import wmdd
from wmdd.artifacts.files import write_json
from wmdd.cli.main import main
from wmdd.errors import ConfigError
from wmdd.models.building import build_model
from wmdd.values import ModelSpec

ARCH = "convnet1_w8_bn"
TINY: dict[str, Any] = {
    "ipc": 1,
    "device": "cpu",
    "precision": "fp32",
    "squeeze": {"arch": ARCH, "epochs": 1},
    "evaluate": {"students": (ARCH,), "epochs": 2, "seeds": 1, "labels": "soft", "references": ("random",)},
}
METHODS: dict[str, dict[str, Any]] = {
    "gvbsm": {"gvbsm.teachers": ("convnet1_w4_bn",), "gvbsm.iterations": 2},
    "scdd": {"selfsupervised": {"epochs": 1, "probe_epochs": 1, "projection": 8}, "scdd.iterations": 2},
    "mine": {"relabel.teachers": ("convnet1_w2",)},
    "random": {},
}
PLUGIN = """
import torch
from wmdd.data.loading import centre_crop
from wmdd.methods import Algorithm, Method, Stage
from wmdd.settings import NoSettings
from wmdd.stages.squeeze import squeeze
from wmdd.values import DistilledSet, Teacher


def first(train, teacher, settings, *, ipc, ctx):
    chosen = torch.cat([train.of_class(label)[:ipc] for label in range(len(train.classes))])
    images = centre_crop(train.images.fetch(chosen.tolist()), train.image_size)
    return DistilledSet(method="mine", images=images, labels=train.labels[chosen], classes=train.classes,
                        weights=torch.full((len(chosen),), 1 / ipc), mean=teacher.mean, std=teacher.std)


LEARN = Stage(name="my-teaching", version=1, run=squeeze, output=Teacher)
FIRST = Stage(name="first", version=1, run=first, output=DistilledSet)


def teach(stages, train, val, recipe):
    archs = (recipe.squeeze.arch, "convnet1_w4_bn")
    return tuple(stages.run(LEARN, train, val, settings=recipe.squeeze.with_(arch=arch)) for arch in archs)


def distill(stages, train, teachers, recipe):
    return stages.run(FIRST, train, teachers[1], settings=NoSettings(), ipc=recipe.ipc)


ALGORITHM = Algorithm(distill=distill, teach=teach)
METHOD = Method(name="mine", title="Mine", summary="the first images", source="here", algorithm="mine")
"""
FACTS: dict[str, Any] = {"students": (ARCH,), "seeds": 1, "labels": "soft"}


def read_json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a package whose method has teachers from a stage of its own."""
    info = tmp_path / "site" / "mine-1.0.dist-info"
    info.mkdir(parents=True)
    (tmp_path / "site" / "mine.py").write_text(PLUGIN, encoding="utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[wmdd.methods]\nmine = mine:METHOD\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.delitem(sys.modules, "mine", raising=False)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of herding."""
    place = tmp_path_factory.mktemp("finished")
    wmdd.distill("digits", method="herding", out=place / "run", store=place / "store", **TINY)
    return place / "run"


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def figures(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(row["set"], row["protocol"], row["labels"], row["seed"]) for row in rows]


@pytest.mark.parametrize("method", METHODS)
def test_the_same_students_are_found_again_whoever_the_teachers_are(mine: None, tmp_path: Path, method: str) -> None:
    del mine
    settings = {**TINY, **METHODS[method]}
    run = wmdd.distill("digits", method=method, out=tmp_path / "run", store=tmp_path / "store", **settings)
    before = read_json(run.out / "metrics.json")
    scores = wmdd.evaluate(run.out, "digits", **FACTS)
    assert [asdict(score) for score in scores.scores] == before["evaluations"]
    assert read_json(run.out / "metrics.json") == before
    labels = (tmp_path / "store").glob("relabel-*/manifest.json")
    assert len({str(read_json(path)["inputs"][1]) for path in labels}) == 1  # all asked the same teachers


def test_the_teachers_of_a_stage_of_ones_own_are_named(mine: None, tmp_path: Path) -> None:
    del mine
    settings = {**TINY, **METHODS["mine"]}
    run = wmdd.distill("digits", method="mine", out=tmp_path / "run", store=tmp_path / "store", **settings)
    known = read_json(run.out / "run.json")
    assert [name.rpartition("-")[0] for name in known["teachers"]] == ["my-teaching"] * 2
    assert [name.rpartition("-")[0] for name in known["labelling"]] == ["my-teaching"] * 2 + ["squeeze"]
    squeezed = wmdd.evaluate(run.out, "digits", **FACTS, relabel={"teachers": ()})
    assert len(squeezed.scores) == 2  # `relabel.teachers` may change later


def named(row: dict[str, Any]) -> str:
    """Return the name of a ranking row's protocol, without what departs from it."""
    return str(row["protocol"]).partition(",")[0]


def test_scores_join_the_metrics_and_the_report(finished: Path, run: Path) -> None:
    before = read_json(run / "metrics.json")
    first = wmdd.evaluate(run, "digits", protocols=("hard",), **FACTS)
    joined = read_json(run / "metrics.json")
    assert joined["evaluations"] == [*before["evaluations"], *(asdict(score) for score in first.scores)]
    assert figures(joined["evaluations"]) == [
        ("herding", "wmdd", "soft", 0),
        ("random", "wmdd", "soft", 0),
        ("herding", "hard", "hard", 0),
        ("random", "hard", "hard", 0),
    ]
    assert [(named(row), "ior" in row) for row in joined["ranking"]] == [("wmdd", True), ("hard", True)]
    assert {name: joined[name] for name in joined if name not in {"evaluations", "ranking"}} == {
        name: before[name] for name in before if name not in {"evaluations", "ranking"}
    }
    page = (run / "report.html").read_text("utf-8")
    assert page != (finished / "report.html").read_text("utf-8")
    assert f"{first.scores[0].top1:.1f}" in page


def test_a_newer_score_replaces_the_older_one_if_its_rules_are_the_same(run: Path) -> None:
    old = read_json(run / "metrics.json")["evaluations"]
    scores = wmdd.evaluate(run, "digits", students=(ARCH,), seeds=2)
    new = read_json(run / "metrics.json")["evaluations"]
    made = {(score.set, score.seed): asdict(score) for score in scores.scores}
    order = [("herding", 0), ("random", 0), ("herding", 1), ("random", 1)]
    assert new == [made[name] for name in order]
    assert [row["set"] for row in old] == ["herding", "random"]


def test_scores_of_other_rules_stand_beside(run: Path) -> None:
    old = read_json(run / "metrics.json")["evaluations"]
    scores = wmdd.evaluate(run, "digits", students=(ARCH,), seeds=1, epochs=3)
    new = read_json(run / "metrics.json")["evaluations"]
    assert new == [*old, *map(asdict, scores.scores)]
    assert len({row["fingerprint"] for row in new}) == 2
    assert {"3 epochs" in row["departs"] for row in new} == {True, False}


def test_joined_scores_stay_when_the_run_is_repeated_and_go_with_its_sets(tmp_path: Path) -> None:
    place = {"out": tmp_path / "run", "store": tmp_path / "store"}
    own = wmdd.distill("digits", method="herding", **place, **TINY).metrics["evaluations"]
    wmdd.evaluate(tmp_path / "run", "digits", protocols=("hard",), **FACTS)
    wmdd.evaluate(tmp_path / "run", "digits", protocols=("wmdd",), **{**FACTS, "epochs": 3})
    hard = [row for row in read_json(tmp_path / "run" / "metrics.json")["evaluations"] if row["protocol"] == "hard"]
    again = wmdd.distill("digits", method="herding", **place, **TINY).metrics
    assert again == read_json(tmp_path / "run" / "metrics.json")
    of_other_rules = [row for row in again["evaluations"] if row["departs"].startswith("3 epochs")]
    assert len(of_other_rules) == 2
    assert [row for row in again["evaluations"] if row not in of_other_rules] == [*own, *hard]
    assert [named(row) for row in again["ranking"]] == ["wmdd", "hard", "wmdd"]
    other = wmdd.distill("digits", method="herding", seed=1, **place, **TINY).metrics
    assert figures(other["evaluations"]) == figures(own)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--students", "resnet81"], "did you mean 'resnet18'"),
        (["--students", "convnet5"], "convnet5 halves images 5 times"),
        (["--protocols", "wmd"], "did you mean 'wmdd'"),
    ],
)
def test_wrong_students_are_refused_before_any_work(
    run: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(run), "--data", "digits", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (run / "evaluations").exists()


def test_the_command_and_the_function_are_the_same(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed, called = (Path(shutil.copytree(finished, tmp_path / name)) for name in ("typed", "called"))
    words = ["--students", ARCH, "--protocols", "rded", "--seeds", "2", "--labels", "both"]
    assert main(["evaluate", str(typed), "--data", "digits", *words]) == 0
    scores = wmdd.evaluate(called, "digits", students=(ARCH,), protocols=("rded",), seeds=2, labels="both")
    assert len(scores.scores) == 8
    assert read_json(typed / "metrics.json") == read_json(called / "metrics.json")
    pages = [(run / "report.html").read_text("utf-8").replace(run.name, "") for run in (typed, called)]
    assert pages[0] == pages[1]
    assert "Top-1 accuracy" in capsys.readouterr().out


def test_other_test_images_than_those_of_the_run_are_told(run: Path) -> None:
    metrics = read_json(run / "metrics.json")
    metrics["data"]["tested_on"] = "another"
    write_json(run / "metrics.json", metrics)
    wmdd.evaluate(run, "digits", protocols=("hard",), **FACTS)
    told = [each["kind"] for each in read_json(run / "metrics.json")["warnings"]]
    assert told.count("other test images") == 1


def test_few_test_images_are_told(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wmdd.pipeline.doubts.FEW", 1000)
    wmdd.evaluate(run, "digits", protocols=("hard",), **FACTS)
    told = [each["kind"] for each in read_json(run / "metrics.json")["warnings"]]
    assert told.count("few test images") == 1


def test_a_checkpoint_may_be_gone(tmp_path: Path) -> None:
    spec = ModelSpec(arch=ARCH, num_classes=10, channels=1, image_size=8, stem="small")
    torch.save(build_model(spec).state_dict(), tmp_path / "given.pt")
    squeeze = {"arch": ARCH, "checkpoint": str(tmp_path / "given.pt"), "accept_weak": True}
    settings = {**TINY, "squeeze": squeeze}
    run = wmdd.distill("digits", method="random", out=tmp_path / "run", store=tmp_path / "store", **settings)
    (tmp_path / "given.pt").unlink()
    scores = wmdd.evaluate(run.out, "digits", **FACTS)
    assert [asdict(score) for score in scores.scores] == run.metrics["evaluations"]


def remove_teacher(run: Path) -> None:
    known = read_json(run / "run.json")
    write_json(run / "run.json", {**known, "teachers": ["squeeze-0123456789ab"]})


def forget_teachers(run: Path) -> None:
    known = read_json(run / "run.json")
    write_json(run / "run.json", {name: known[name] for name in ("store", "results", "current")})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (remove_teacher, "a teacher of the run is gone; got no"),
        (forget_teachers, "the run is unfinished, or of an older wmdd that did not note its teachers"),
        (lambda run: (run / "metrics.json").unlink(), "the run is unfinished"),
        (lambda run: (run / "run.json").unlink(), "which is not the folder of its run"),
    ],
)
def test_what_is_missing_is_one_line(run: Path, spoil: Callable[[Path], None], message: str) -> None:
    spoil(run)
    with pytest.raises(ConfigError) as caught:
        wmdd.evaluate(run, "digits", **FACTS)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
