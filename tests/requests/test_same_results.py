"""Command and function leave the same files: one tiny run each, with a store of its own."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import wmdd
from wmdd import api
from wmdd.cli.main import main

ARCH = "convnet1_w8_bn"
EPOCHS = 12
"""Enough that students differ with their epochs, their seed and their labels."""
WORDS = (
    f"--ipc 1 --squeeze.arch {ARCH} --squeeze.epochs 1 --recover.iterations 4 "
    f"--evaluate.students {ARCH} --evaluate.epochs {EPOCHS} --evaluate.seeds 2"
).split()
SETTINGS: dict[str, Any] = {
    "ipc": 1,
    "squeeze": {"arch": ARCH, "epochs": 1},
    "recover": {"iterations": 4},
    "evaluate": {"students": [ARCH], "epochs": EPOCHS, "seeds": 2},
}
CPU = {"device": "cpu", "precision": "fp32"}
_MEASURED = {"seconds", "memory", "command"}
_TIMED = {"metrics.json", "bench.json", "run.json", "report.html", "bench.html", "bench.md", "bench.tex"}
"""Files that hold seconds, memory, or the path of the store."""


def read_json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def without_measured(value: Any) -> Any:
    """Return contents of a file without what differs each time."""
    if isinstance(value, dict):
        return {name: without_measured(each) for name, each in value.items() if name not in _MEASURED}
    return [without_measured(each) for each in value] if isinstance(value, list) else value


def files(folder: Path) -> dict[str, Any]:
    """Return every file in a folder: bytes, or what is in it but seconds, memory and the name of the folder."""
    found: dict[str, Any] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = str(path.relative_to(folder))
        found[name] = path.read_bytes() if path.name not in _TIMED else b""
        if path.name in {"metrics.json", "bench.json"}:
            found[name] = without_measured(read_json(path))
        elif path.name == "run.json":
            found[name] = {**read_json(path), "store": ""}
    return found


def accuracies(rows: Any) -> dict[tuple[Any, ...], float]:
    return {(row["set"], row["student"], row["protocol"], row["labels"], row["seed"]): row["top1"] for row in rows}


def of_scores(scores: wmdd.Evaluation) -> dict[tuple[Any, ...], float]:
    return {(each.set, each.student, each.protocol, each.labels, each.seed): each.top1 for each in scores.scores}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was typed and the same one called: `typed/run`, `called/run`."""
    place = tmp_path_factory.mktemp("same")
    folders = ["--out", str(place / "typed" / "run"), "--store", str(place / "typed" / "store")]
    assert main(["distill", "digits", *folders, "--device", "cpu", "--precision", "fp32", *WORDS]) == 0
    wmdd.distill("digits", out=place / "called" / "run", store=place / "called" / "store", **CPU, **SETTINGS)
    return place


@pytest.fixture
def copies(place: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Copies of both, to be changed; each keeps its store."""
    typed, called = (
        Path(shutil.copytree(place / name / "run", tmp_path / name / "run")) for name in ("typed", "called")
    )
    return typed, called


def test_distill(place: Path) -> None:
    typed, called = files(place / "typed" / "run"), files(place / "called" / "run")
    assert typed == called
    assert {"metrics.json", "recipe.yaml", "report.html", "run.json", "distilled/manifest.json"} <= {*typed}
    stored = [
        {path.parent.name for path in (place / name / "store").rglob("manifest.json")} for name in ("typed", "called")
    ]
    assert stored[0] == stored[1]


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        ("", {}),
        ("--protocols hard rded --seeds 1", {"protocols": ["hard", "rded"], "seeds": 1}),
        pytest.param(
            f"--students {ARCH} convnet1_w4 --labels both",
            {"students": (ARCH, "convnet1_w4"), "labels": "both"},
            marks=pytest.mark.slow,
        ),
        ("--epochs 3 --precision bf16", {"epochs": 3, "precision": "bf16"}),
        ("--relabel.temperature 4 --evaluate.tests 1", {"relabel": {"temperature": 4}, "evaluate": {"tests": 1}}),
    ],
)
def test_evaluate(copies: tuple[Path, Path], words: str, arguments: dict[str, Any]) -> None:
    typed, called = copies
    assert main(["evaluate", str(typed), "--data", "digits", *words.split()]) == 0
    wmdd.evaluate(called, "digits", **arguments)
    assert files(typed) == files(called)


def test_worth(copies: tuple[Path, Path]) -> None:
    typed, called = copies
    words = "--multiples 2 3 --draws 2 --seeds 1 --protocols hard"
    assert main(["worth", str(typed), "--data", "digits", *words.split()]) == 0
    found = wmdd.worth(called, "digits", multiples=[2, 3], draws=2, seeds=1, protocols=["hard"])
    assert files(typed) == files(called)
    assert [(pair.row.set, {*pair.block.curve}) for pair in found] == [("wmdd", {1, 2, 3})]


def test_bench(tmp_path: Path) -> None:
    typed, called = tmp_path / "typed", tmp_path / "called"
    words = f"--methods herding --ipcs 1 2 --students {ARCH} --protocols hard --seeds 1 --distill-seeds 1"
    cells = f"--device cpu --precision fp32 --squeeze.arch {ARCH} --squeeze.epochs 1 --evaluate.epochs 2"
    folders = ["--out", str(typed / "run"), "--store", str(typed / "store")]
    assert main(["bench", "digits", *folders, *words.split(), *cells.split()]) == 0
    table = {"methods": ["herding"], "ipcs": [1, 2], "students": [ARCH], "protocols": ["hard"], "distill_seeds": 1}
    settings = {"squeeze": {"arch": ARCH, "epochs": 1}, "evaluate": {"epochs": 2}, **CPU}
    wmdd.bench("digits", out=called / "run", store=called / "store", seeds=1, **table, **settings)
    assert files(typed / "run") == files(called / "run")
    assert {cell["state"] for cell in read_json(typed / "run" / "bench.json")["cells"]} == {"finished"}
    tables = {name: (typed / "run" / name).read_bytes() for name in ("bench.html", "bench.md", "bench.tex")}
    assert api.report(typed / "run") == typed / "run" / "bench.html"
    assert {name: (typed / "run" / name).read_bytes() for name in tables} == tables


def test_report(copies: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    run = copies[0]
    page = run / "report.html"
    written: list[bytes] = []
    for write in (lambda: main(["report", str(run)]), lambda: api.report(run)):
        page.unlink()
        assert write() in {0, page}
        written.append(page.read_bytes())
    assert capsys.readouterr().out == f"{page}\n"
    assert written[0] == written[1]


@pytest.mark.parametrize("form", ["imagefolder", "parquet", "safetensors"])
def test_export(copies: tuple[Path, Path], form: str, tmp_path: Path) -> None:
    typed, called = copies
    assert main(["export", str(typed), "--format", form, "--to", str(tmp_path / "one")]) == 0
    for number, distilled in enumerate((called, called / "distilled", wmdd.load(called))):
        assert api.export(distilled, format=form, to=tmp_path / str(number)) == tmp_path / str(number)
        assert files(tmp_path / "one") == files(tmp_path / str(number)) != {}


def test_status_and_lists(copies: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", str(copies[0])]) == 0
    assert f"{copies[0]}: {api.status(copies[0]).sentence}" in capsys.readouterr().out
    assert main(["list", "protocols"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in api.list_names("protocols"))


@pytest.mark.parametrize(
    "precision", ["fp32", pytest.param("bf16", marks=pytest.mark.slow), pytest.param("auto", marks=pytest.mark.slow)]
)
def test_epochs_device_and_precision_are_those_of_the_run_for_both(precision: str, tmp_path: Path) -> None:
    """The command once took its own defaults for them, 300 epochs and `auto`, and the function those of the run."""
    facts = {"out": tmp_path / "run", "store": tmp_path / "store", "device": "cpu", "precision": precision}
    own = accuracies(wmdd.distill("digits", **facts, **SETTINGS).metrics["evaluations"])
    said = {"students": [ARCH], "protocols": ["wmdd"], "seeds": 2, "labels": "soft"}
    words = f"--data digits --students {ARCH} --protocols wmdd --seeds 2 --labels soft".split()
    for again in range(2):  # the first evaluation leaves scores in the run, which change nothing
        assert of_scores(wmdd.evaluate(tmp_path / "run", "digits")) == own, again
        assert of_scores(wmdd.evaluate(tmp_path / "run", "digits", **said)) == own
        assert main(["evaluate", str(tmp_path / "run"), *words]) == 0
        assert accuracies(read_json(tmp_path / "run" / "metrics.json")["evaluations"]) == own
        assert main(["evaluate", str(tmp_path / "run"), "--data", "digits"]) == 0
        assert accuracies(read_json(tmp_path / "run" / "metrics.json")["evaluations"]) == own
    assert of_scores(wmdd.evaluate(tmp_path / "run", "digits", epochs=40)) != own  # so epochs would have shown


def test_what_is_not_said_is_as_in_the_run_not_a_constant(copies: tuple[Path, Path]) -> None:
    scores = of_scores(wmdd.evaluate(copies[0], "digits", protocols=["hard"]))
    names = ("wmdd", "random", "k-medoids", "all real images")
    assert {*scores} == {(name, ARCH, "hard", "hard", seed) for name in names for seed in (0, 1)}


@pytest.mark.slow
def test_a_run_its_folder_and_its_loaded_set_are_the_same(copies: tuple[Path, Path]) -> None:
    run = copies[0]
    given = (run, str(run), run / "distilled", wmdd.load(run), wmdd.load(run / "distilled"))
    first, *others = [of_scores(wmdd.evaluate(each, "digits", protocols=["hard"], seeds=1)) for each in given]
    assert others == [first] * 4
