"""A run's results, as attributes: the run's own, read when asked for, or one line that says why not."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import wmdd
from wmdd.errors import ArtifactError
from wmdd.values import Barycenters, ClassStatistics, SoftLabels, Teacher

ARCH = "convnet1_w8_bn"
CHEAP: dict[str, Any] = {
    "device": "cpu",
    "precision": "fp32",
    "ipc": 2,
    "quiet": True,
    "squeeze": {"arch": ARCH, "epochs": 1},
    "evaluate": {"students": (ARCH,), "epochs": 2, "seeds": 1, "labels": "soft"},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> wmdd.Run:
    place = tmp_path_factory.mktemp("run")
    return wmdd.distill("digits", out=place / "run", store=place / "store", recover={"iterations": 3}, **CHEAP)


def test_results_are_the_runs_own(run: wmdd.Run) -> None:
    assert isinstance(run.teacher, Teacher)
    assert run.teacher.top1 == run.metrics["teacher"]["top1"]
    assert isinstance(run.statistics, ClassStatistics)
    assert run.statistics.features.shape == (run.metrics["data"]["train"], 128)
    assert isinstance(run.barycenters, Barycenters)
    assert run.barycenters.atoms.shape == (10, 2, 128)
    assert run.distilled.method == "wmdd"
    assert run.distilled.images.equal(wmdd.load(run.out).images)
    assert isinstance(run.labels, SoftLabels)
    assert len(run.labels.epochs) == 2
    product = wmdd.load(run.out).soft_labels
    assert product is not None
    logits, written = run.labels.epochs[0].logits, product.epochs[0].logits
    assert logits is not None
    assert written is not None
    assert torch.equal(logits, written)
    assert run.distilled is run.distilled


def test_a_folder_is_opened_again(run: wmdd.Run, tmp_path: Path) -> None:
    opened = wmdd.Run.open(str(run.out))
    assert opened.metrics == json.loads((run.out / "metrics.json").read_text("utf-8"))
    assert opened.distilled.images.equal(run.distilled.images)
    assert repr(opened).startswith("Run(out=")
    with pytest.raises(ArtifactError, match="not the folder of a run; got"):
        wmdd.Run.open(tmp_path)


def test_what_was_not_made_is_one_line(run: wmdd.Run, tmp_path: Path) -> None:
    store = run.out.parent / "store"
    begun = wmdd.distill("digits", out=tmp_path / "run", store=store, until="squeeze", **CHEAP)
    assert begun.metrics == {}
    assert begun.teacher.weights.keys() == run.teacher.weights.keys()
    with pytest.raises(ArtifactError) as caught:
        _ = begun.barycenters
    assert f"the run has no barycenters; got {begun.out} with squeeze; its method makes none" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_method_without_atoms_has_no_barycenters(run: wmdd.Run, tmp_path: Path) -> None:
    settings = {**CHEAP, "evaluate": {**CHEAP["evaluate"], "references": ("random",)}}
    random = wmdd.distill("digits", method="random", out=tmp_path / "run", store=run.out.parent / "store", **settings)
    assert random.distilled.method == "random"
    for name in ("statistics", "barycenters"):
        with pytest.raises(ArtifactError, match=f"the run has no {name}"):
            getattr(random, name)


def test_what_is_gone_is_one_line(run: wmdd.Run, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(run.out, tmp_path / "run"))
    record = json.loads((copied / "run.json").read_text("utf-8"))
    (copied / "run.json").write_text(json.dumps({**record, "store": str(tmp_path / "nowhere")}))
    with pytest.raises(ArtifactError, match="the run's teacher is gone; got no .*nowhere/squeeze-"):
        _ = wmdd.Run.open(copied).teacher
