"""A whole run on the digits, and everything that one can do with what it leaves behind."""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torchvision.datasets import ImageFolder

import wmdd
from recorded_settings import settings_read
from wmdd.cli.main import main
from wmdd.methods.catalogue import complete
from wmdd.pipeline.watchers import Watcher
from wmdd.settings import Recipe
from wmdd.settings.recipe import setting_names
from wmdd.values import Evaluation, Score

ARCH = "convnet1_w8_bn"
TINY: dict[str, Any] = {
    "ipc": 2,
    "device": "cpu",
    "precision": "fp32",
    "squeeze": {"epochs": 2, "arch": ARCH},
    "recover": {"iterations": 8},
    "evaluate": {"students": (ARCH,), "epochs": 3, "seeds": 1, "labels": "soft", "references": ("random",)},
}
STAGES = {"squeeze", "statistics", "barycenter", "recover", "random", "diagnose", "relabel", "evaluate"}


class Listener(Watcher):
    """Hears which stages were made and which were found finished."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.reused: list[str] = []
        self.titles: list[str] = []
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def end(self, stage: str, seconds: float, reused: bool) -> None:
        assert seconds >= 0
        self.titles.append(stage)
        (self.reused if reused else self.made).append(stage.partition(" ")[0])


@dataclass(frozen=True)
class Digits:
    """A finished run, its store, who listened, and which settings were read."""

    run: wmdd.Run
    store: Path
    listener: Listener
    read: set[str]

    @property
    def out(self) -> Path:
        return self.run.out

    def keys(self) -> list[str]:
        return list(self.run.metrics["run"]["results"])


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Digits:
    place, listener = tmp_path_factory.mktemp("digits"), Listener()
    folders = {"out": place / "run", "store": place / "store"}
    with settings_read() as read:
        run = wmdd.distill("digits", watcher=listener, command="typed", **folders, **TINY)
    return Digits(run=run, store=place / "store", listener=listener, read=read)


@pytest.fixture
def again(digits: Digits, tmp_path: Path) -> Callable[..., tuple[wmdd.Run, Listener]]:
    """Run once more in the same store, into another folder."""

    def run(**changes: Any) -> tuple[wmdd.Run, Listener]:
        listener = Listener()
        settings = {**TINY, **changes}
        if settings.get("method") == "random":
            del settings["recover"]
        return wmdd.distill("digits", out=tmp_path / "run", store=digits.store, watcher=listener, **settings), listener

    return run


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_card_says_what_the_accuracy_rests_on(digits: Digits) -> None:
    card = (digits.out / "distilled" / "README.md").read_text("utf-8")
    data, row = digits.run.metrics["data"], digits.run.metrics["evaluations"][0]
    for said in (
        f"{data['train']:,} training and {data['val']:,} test images of 10 classes",
        f"Accuracy on {data['val']:,} of the source's real test images",
        f"| {row['set']} | 2 | {ARCH} | wmdd, 3 epochs, whole views | soft | {row['top1']:.1f} |",
        "`wmdd, 3 epochs, whole views, soft labels`:\n\n- epochs: 3\n- batch: 20 images",
        "weight decay 0.01",
        "cosine in steps of an epoch: 0.001 (1 + cos(pi i / 3)) / 2",
        f"- `{ARCH}`: ConvNet of 1 blocks (3 x 3 convolution to 8 channels, BatchNorm",
        "Views of config `fkd`: whole images.",
        "cpu, networks in fp32",
    ):
        assert said in card, said
    settings = yaml.safe_load(card.split("```yaml\n")[1].split("```")[0])
    assert "curriculum_end" not in settings["recover"]
    assert "top_k" not in settings["relabel"]
    assert complete({}, settings) == complete({}, {**settings, "recover.curriculum_end": 0.08})


def test_a_run_leaves_the_files_of_the_contract(digits: Digits) -> None:
    names = set(files_of(digits.out))
    assert {
        "recipe.yaml",
        "metrics.json",
        "log.jsonl",
        "report.html",
        "distilled/README.md",
        "distilled/manifest.json",
        "distilled/data/train-00000-of-00001.parquet",
        "distilled/fkd/train-00000.parquet",
    } <= names
    assert not [name for name in names if name.endswith((".tmp", ".pkl", ".pt"))]


def test_stages_that_run_for_several_sets_say_for_which(digits: Digits) -> None:
    of_sets = [f"{stage} {method}" for method in ("wmdd", "random") for stage in ("diagnose", "relabel", "evaluate")]
    assert digits.listener.titles[-6:] == of_sets
    assert len(set(digits.listener.titles)) == len(digits.listener.titles)
    assert {row["stage"] for row in map(json.loads, (digits.out / "log.jsonl").read_text().splitlines())} <= STAGES


def test_a_sound_run_has_nothing_to_say_of_its_outcome(digits: Digits) -> None:
    assert {"saturated pixels", "risen loss"}.isdisjoint(each["kind"] for each in digits.run.metrics["warnings"])


def test_a_finished_store_holds_no_saved_state(digits: Digits) -> None:
    folders = [path for path in digits.store.iterdir() if path.is_dir()]
    assert Counter(path.name.rpartition("-")[0] for path in folders) == Counter(digits.listener.made)
    assert all((path / "manifest.json").exists() and not (path / "work").exists() for path in folders)


def test_every_setting_of_a_run_is_read(digits: Digits) -> None:
    elsewhere = {
        "relabel.top_k",  # all logits are kept
        "squeeze.accept_weak",  # the teacher is trained here
    }
    assert set(setting_names(Recipe)) - digits.read == elsewhere


def test_the_schema_of_metrics(digits: Digits) -> None:
    metrics = json.loads((digits.out / "metrics.json").read_text("utf-8"))
    assert metrics == digits.run.metrics
    assert metrics["schema"] == 1
    assert metrics["data"]["name"] == "digits"
    assert metrics["data"]["classes"] == [str(digit) for digit in range(10)]
    assert metrics["data"]["train"] + metrics["data"]["val"] == 1797
    assert (metrics["data"]["image_size"], metrics["data"]["channels"], metrics["data"]["broken"]) == (8, 1, 0)
    assert metrics["teacher"]["arch"] == ARCH
    assert 0 <= metrics["teacher"]["top1"] <= 100
    assert (metrics["barycenter"]["objective"], metrics["barycenter"]["weights"]) == ("wasserstein", "learned")
    # Both are the best of a few local optima: neither bounds the other, but they are close.
    assert metrics["barycenter"]["cost_mean"] == pytest.approx(metrics["barycenter"]["best_known_mean"], rel=0.05)
    assert [len(trace) > 0 for trace in metrics["barycenter"]["traces"]] == [True] * 10
    assert set(metrics["seconds"]) == STAGES
    assert all(seconds >= 0 for seconds in metrics["seconds"].values())
    data, labels = digits.out / "distilled" / "data", digits.out / "distilled" / "fkd"
    assert metrics["bytes"] == {
        "images": sum(file.stat().st_size for file in data.iterdir()),
        "soft_labels": sum(file.stat().st_size for file in labels.iterdir()),
        "soft_labels_per_image": round(sum(file.stat().st_size for file in labels.iterdir()) / 20),
    }
    assert metrics["run"]["command"] == "typed"
    assert (metrics["run"]["method"], metrics["run"]["ipc"], metrics["run"]["seed"]) == ("wmdd", 2, 0)


def test_both_sets_are_diagnosed(digits: Digits) -> None:
    metrics = digits.run.metrics
    figures = {"cost", "kmeans_cost", "random_cost", "random_std", "distance", "uniform"}
    figures |= {"mean_distance", "mmd", "kernel_norm"}
    bounded = {"head_gap", "head_bound", "head_mean_bound", "loss_gap", "loss_bound", "kernel_gap", "kernel_bound"}
    assert list(metrics["diagnosis"]) == ["wmdd", "random"]
    for found in metrics["diagnosis"].values():
        assert set(found["mean"]) == set(found["classes"]) == figures | bounded
        for name, values in found["classes"].items():
            assert len(values) == 10
            assert found["mean"][name] == pytest.approx(sum(values) / 10)
        for kind in ("head", "loss", "kernel"):
            pairs = zip(found["classes"][f"{kind}_gap"], found["classes"][f"{kind}_bound"], strict=True)
            assert all(gap <= bound for gap, bound in pairs)
    wmdd_, random = (found["mean"] for found in metrics["diagnosis"].values())
    assert [wmdd_[name] for name in ("kmeans_cost", "random_cost", "random_std")] == [
        random[name] for name in ("kmeans_cost", "random_cost", "random_std")
    ]
    assert wmdd_["kmeans_cost"] >= metrics["barycenter"]["best_known_mean"] * (1 - 1e-9)
    assert wmdd_["kmeans_cost"] == pytest.approx(metrics["barycenter"]["best_known_mean"], rel=0.02)
    assert "Distance to the real features" in (digits.out / "report.html").read_text("utf-8")


def test_without_statistics_nothing_is_diagnosed(again: Callable[..., tuple[wmdd.Run, Listener]]) -> None:
    run, listener = again(method="random")
    assert run.metrics["diagnosis"] == {}
    assert {"statistics", "diagnose"}.isdisjoint(listener.made + listener.reused)


def test_random_real_images_are_always_beside(digits: Digits) -> None:
    rows = digits.run.metrics["evaluations"]
    assert [row["set"] for row in rows] == ["wmdd", "random"]
    same = ("ipc", "student", "protocol", "labels", "seed")
    assert [rows[0][name] for name in same] == [rows[1][name] for name in same] == [2, ARCH, "wmdd", "soft", 0]
    for row in rows:
        assert set(row) == {field.name for field in fields(Score)}
        assert 0 <= row["top1"] <= row["top1_best"] <= 100
        assert row["top1"] <= row["top5"] <= 100


def test_the_cost_is_announced_before_anything_is_made(digits: Digits) -> None:
    assert "1,438 images of 10 classes at 8 px, on cpu in fp32" in digits.listener.notes[0]
    assert all(stage in digits.listener.notes[0] for stage in ("teacher", "wmdd", "labels", "students"))


def test_the_log_has_rows_of_every_long_stage(digits: Digits) -> None:
    rows = [json.loads(line) for line in (digits.out / "log.jsonl").read_text("utf-8").splitlines()]
    assert {"squeeze", "barycenter", "recover", "evaluate"} <= {row["stage"] for row in rows}
    assert [row["step"] for row in rows if row["stage"] == "recover"] == list(range(1, 9))
    assert [row["epoch"] for row in rows if row["stage"] == "squeeze" and "epoch" in row] == [1, 2]


def test_the_recipe_of_a_run_repeats_it(digits: Digits, tmp_path: Path) -> None:
    written = yaml.safe_load((digits.out / "recipe.yaml").read_text("utf-8"))
    assert {name.split(".")[0] for name in setting_names(type(complete({})))} == set(written)
    listener = Listener()
    run = wmdd.distill(
        "digits", recipe=digits.out / "recipe.yaml", out=tmp_path / "run", store=digits.store, watcher=listener
    )
    assert list(run.metrics["run"]["results"]) == digits.keys()
    assert listener.made == []
    assert (run.out / "log.jsonl").read_bytes() == (digits.out / "log.jsonl").read_bytes()
    assert (run.out / "recipe.yaml").read_bytes() == (digits.out / "recipe.yaml").read_bytes()
    assert files_of(run.out / "distilled") == files_of(digits.out / "distilled")


def test_another_ipc_reuses_teacher_and_statistics(again: Callable[..., tuple[wmdd.Run, Listener]]) -> None:
    run, listener = again(ipc=1)
    assert listener.reused == ["squeeze", "statistics"]
    assert set(listener.made) == STAGES - {"squeeze", "statistics"}
    assert {row["ipc"] for row in run.metrics["evaluations"]} == {1}


def test_another_teacher_reuses_nothing(digits: Digits, again: Callable[..., tuple[wmdd.Run, Listener]]) -> None:
    run, listener = again(squeeze={**TINY["squeeze"], "seed": 1})
    assert listener.reused == []
    assert not set(run.metrics["run"]["results"]) & set(digits.keys())


def test_until_stops_and_leaves_no_metrics(again: Callable[..., tuple[wmdd.Run, Listener]]) -> None:
    run, listener = again(until="barycenter")
    assert run.metrics == {}
    assert listener.made == []
    assert listener.reused == ["squeeze", "statistics", "barycenter"]
    assert not (run.out / "metrics.json").exists()


def test_the_same_command_twice_gives_the_same_bytes(digits: Digits, tmp_path: Path) -> None:
    run = wmdd.distill("digits", out=tmp_path / "run", store=tmp_path / "store", **TINY)
    assert list(run.metrics["run"]["results"]) == digits.keys()
    assert files_of(run.out / "distilled") == files_of(digits.out / "distilled")
    assert run.metrics["evaluations"] == digits.run.metrics["evaluations"]
    assert run.metrics["teacher"] == digits.run.metrics["teacher"]


def test_another_seed_gives_other_images_under_the_same_teacher(
    digits: Digits, again: Callable[..., tuple[wmdd.Run, Listener]]
) -> None:
    run, listener = again(seed=1)
    assert listener.reused == ["squeeze", "statistics"]
    theirs, ours = wmdd.load(run.out), wmdd.load(digits.out)
    assert not torch.equal(theirs.images, ours.images)


def test_a_rate_that_is_far_too_high_is_said(again: Callable[..., tuple[wmdd.Run, Listener]]) -> None:
    run, _ = again(recover={"iterations": 8, "lr": 1e6})
    warnings = {each["kind"]: each["text"] for each in run.metrics["warnings"]}
    assert {"saturated pixels", "risen loss"} <= warnings.keys()
    assert "lower recover.lr" in warnings["saturated pixels"]
    assert warnings["risen loss"].startswith("recover: the loss of ")


def test_load_and_train_in_three_lines(digits: Digits) -> None:
    small = wmdd.load(digits.out / "distilled")
    assert isinstance(small, wmdd.DistilledSet)
    assert small.images.shape == (20, 1, 8, 8)
    assert small.labels.tolist() == [label for label in range(10) for _ in range(2)]
    assert small.weights.reshape(10, 2).sum(1).tolist() == pytest.approx([1.0] * 10)
    batches = list(small.loader(batch_size=8, epochs=5))
    assert len(batches) == 5 * 3
    for images, targets, weights in batches:
        assert images.shape[1:] == (1, 8, 8)
        assert targets.shape == (len(images), 10)
        assert targets.sum(1).tolist() == pytest.approx([1.0] * len(images), abs=1e-5)
        assert len(weights) == len(images)


def test_the_report_is_one_file_that_asks_nobody(digits: Digits) -> None:
    page = (digits.out / "report.html").read_text("utf-8")
    assert "digits" in page
    assert "random" in page
    assert "<script src" not in page
    assert 'href="http' not in page


def test_hugging_face_reads_the_product(digits: Digits, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    found = datasets.load_dataset(str(digits.out / "distilled"), cache_dir=str(tmp_path / "cache"))["train"]
    assert found.num_rows == 20
    assert found.features["label"].names == [str(digit) for digit in range(10)]
    assert found[3]["image"].size == (8, 8)
    small = wmdd.load(digits.out)
    assert found["label"][:] == small.labels.tolist()
    assert found["weight"][:] == pytest.approx(small.weights.tolist())


@pytest.fixture
def copied(digits: Digits, tmp_path: Path) -> Path:
    """A copy of the run's folder, for what changes it."""
    return Path(shutil.copytree(digits.out, tmp_path / "copied"))


def test_students_of_another_protocol_later(copied: Path) -> None:
    before = files_of(copied / "distilled")
    facts = {"students": [ARCH], "protocols": ["rded"], "seeds": 2, "labels": "soft", "epochs": 2}
    scores = wmdd.evaluate(copied, "digits", **facts)
    assert isinstance(scores, Evaluation)
    assert [(score.set, score.protocol, score.seed) for score in scores.scores] == [
        ("wmdd", "rded", 0),
        ("wmdd", "rded", 1),
        ("random", "rded", 0),
        ("random", "rded", 1),
    ]
    assert files_of(copied / "distilled") == before


def test_real_images_are_picked_under_a_teacher_without_batchnorm(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "squeeze": {"arch": "convnet1_w8", "epochs": 1},
        "evaluate": {
            "students": ("convnet1_w8",),
            "epochs": 2,
            "seeds": 1,
            "labels": "soft",
            "references": ("random",),
        },
    }
    run = wmdd.distill("digits", method="herding", out=tmp_path / "run", store=tmp_path / "store", **settings)
    assert {row["set"] for row in run.metrics["evaluations"]} == {"herding", "random"}
    assert "herding" in run.metrics["diagnosis"]


@pytest.mark.parametrize("labels", ["soft", "hard"])
def test_evaluating_what_was_loaded_is_the_same(digits: Digits, copied: Path, labels: str) -> None:
    facts: dict[str, Any] = {"students": [ARCH], "seeds": 1, "labels": labels, "epochs": 3}
    scores = wmdd.evaluate(wmdd.load(copied / "distilled"), "digits", **facts)
    assert scores == wmdd.evaluate(copied / "distilled", "digits", **facts)
    assert [score.labels for score in scores.scores] == [labels] * 2
    if labels == "soft":
        theirs = [(row["set"], row["top1"]) for row in digits.run.metrics["evaluations"]]
        assert [(score.set, score.top1) for score in scores.scores] == theirs


def test_a_set_in_memory_cannot_be_evaluated(digits: Digits) -> None:
    small = wmdd.load(digits.out)
    names = ("method", "images", "labels", "weights", "classes", "mean", "std")
    plain = wmdd.DistilledSet(**{name: getattr(small, name) for name in names})
    with pytest.raises(wmdd.WmddError, match="must be on disk"):
        wmdd.evaluate(plain, "digits")


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Carry out a command; return its exit code and what it printed."""

    def run(*words: str | Path) -> tuple[int, str, str]:
        code = main([str(word) for word in words])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_command_distill(digits: Digits, tmp_path: Path, cli: Callable[..., tuple[int, str, str]]) -> None:
    words = ["distill", "digits", "--recipe", digits.out / "recipe.yaml", "--out", tmp_path / "run"]
    code, out, err = cli(*words, "--store", digits.store, "--evaluate.seeds", "2")
    assert code == 0, err
    assert str(tmp_path / "run" / "report.html") in out
    assert "random" in out
    assert "±" in out
    assert "squeeze found finished" in " ".join(err.split())
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text("utf-8"))
    assert metrics["run"]["command"].startswith("wmdd distill digits --recipe")
    code, out, err = cli(*words, "--store", digits.store, "--until", "recover")
    assert (code, out) == (0, "stopped after recover; the same command without --until goes on\n")


def test_command_evaluate(copied: Path, cli: Callable[..., tuple[int, str, str]]) -> None:
    words = ["--data", "digits", "--students", ARCH, "--protocols", "rd3", "hard", "--seeds", "1", "--epochs", "2"]
    code, out, err = cli("evaluate", copied, *words, "--labels", "soft", "--device", "cpu", "--precision", "fp32")
    assert code == 0, err
    rows = [line.split() for line in out.splitlines()]
    found = [(row[0], row[3]) for row in rows if row[2:3] == [ARCH]]
    assert sorted(found) == [(name, f"{protocol},") for name in ("random", "wmdd") for protocol in ("hard", "rd3")]


def test_command_status_of_a_finished_run(digits: Digits, cli: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = cli("status", digits.out)
    assert code == 0
    assert "finished" in out.splitlines()[0]
    assert "unfinished" not in out
    assert all(stage in out for stage in STAGES)


def test_command_report(digits: Digits, cli: Callable[..., tuple[int, str, str]]) -> None:
    (digits.out / "report.html").unlink()
    code, out, _ = cli("report", digits.out)
    assert (code, out) == (0, f"{digits.out / 'report.html'}\n")
    assert (digits.out / "report.html").exists()


def test_command_export(digits: Digits, tmp_path: Path, cli: Callable[..., tuple[int, str, str]]) -> None:
    assert cli("export", digits.out, "--format", "imagefolder", "--to", tmp_path / "images")[0] == 0
    images = ImageFolder(str(tmp_path / "images" / "train"))
    small = wmdd.load(digits.out)
    assert images.targets == small.labels.tolist()
    assert images.classes == list(small.classes)
    assert images[0][0].size == (8, 8)
    for form in ("parquet", "safetensors"):
        assert cli("export", digits.out, "--format", form, "--to", tmp_path / form)[0] == 0
    code, _, err = cli("export", digits.out, "--format", "parquet", "--to", tmp_path / "parquet")
    assert code == 2
    assert err.startswith("wmdd: error:")


def test_a_damaged_product_is_one_line(
    digits: Digits, again: Callable[..., tuple[wmdd.Run, Listener]], cli: Callable[..., tuple[int, str, str]]
) -> None:
    run, _ = again()
    path = run.out / "distilled" / "data" / "train-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    code, _, err = cli("evaluate", run.out, "--data", "digits")
    assert code == 2
    assert err.startswith("wmdd: error:")
    assert err.count("\n") == 1


def test_the_data_must_be_those_of_the_set(
    digits: Digits, tmp_path: Path, cli: Callable[..., tuple[int, str, str]]
) -> None:
    from PIL import Image  # noqa: PLC0415

    for name in ("cat", "dog"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(4):
            Image.new("L", (8, 8), 20 * number).save(tmp_path / "data" / name / f"{number}.png")
    code, _, err = cli("evaluate", digits.out, "--data", tmp_path / "data")
    assert (code, err.count("\n")) == (2, 1)
    assert "disagree about the classes; got 10 and 2" in err
