"""Every record comes back from disk as it went."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from wmdd.artifacts.formats import read_record, write_record
from wmdd.artifacts.tensors import mapped_tensor, write_tensors
from wmdd.errors import ArtifactError
from wmdd.values import (
    Barycenters,
    ClassFeatures,
    ClassStatistics,
    Diagnosis,
    DistilledSet,
    EpochLabels,
    Evaluation,
    LazyEpochs,
    ModelSpec,
    Score,
    SetLosses,
    SoftLabels,
    Teacher,
    Views,
)

CLASSES = ("cat", "Bär", "dog")


def views(rows: int) -> Views:
    boxes = torch.randint(0, 8, (4, rows, 4), dtype=torch.int16)
    return Views(
        index=torch.randperm(rows),
        crop=boxes[0],
        flip=torch.rand(rows) > 0.5,
        partner=torch.randperm(rows),
        partner_crop=boxes[1],
        partner_flip=torch.rand(rows) > 0.5,
        patch=boxes[2],
    )


def epoch(kind: str) -> EpochLabels:
    if kind == "online":
        return EpochLabels(views=views(6), logits=None)
    if kind == "topk":
        chosen = torch.randint(0, 3, (6, 2), dtype=torch.int32)
        return EpochLabels(views=views(6), logits=torch.randn(6, 2).half(), classes=chosen, rest=torch.randn(6).half())
    return EpochLabels(views=views(6), logits=torch.randn(6, 3).half())


def soft_labels(kind: str = "full", count: int = 3) -> SoftLabels:
    return SoftLabels(
        store=kind,
        batch=4,
        temperature=20.0,
        num_classes=3,
        epochs=tuple(epoch(kind) for _ in range(count)),
        plain=torch.randn(6, 3),
        num_bytes=123,
    )


def class_statistics() -> ClassStatistics:
    return ClassStatistics(
        features=torch.randn(9, 4),
        counts=(2, 3, 4),
        layers=("bn1", "layer1.0.bn1"),
        widths=(2, 3),
        means=torch.randn(3, 5, dtype=torch.float64),
        variances=torch.rand(3, 5, dtype=torch.float64),
    )


def score(seed: int) -> Score:
    return Score(
        set="wmdd",
        ipc=2,
        student="resnet18",
        protocol="wmdd",
        labels="soft",
        seed=seed,
        top1=40.2,
        top5=80.0,
        top1_best=41.0,
    )


def diagnosis(*bounded: str) -> Diagnosis:
    names = ("costs", "kmeans_costs", "random_costs", "random_stds", "distances", "uniforms", *bounded)
    return Diagnosis(set="wmdd", **{name: torch.rand(3, dtype=torch.float64) for name in names})


def records() -> dict[str, Any]:
    spec = ModelSpec(arch="convnet1_w8_bn", num_classes=3, channels=3, image_size=8, stem="small")
    weights = {"a.weight": torch.randn(2, 3), "a.num_batches_tracked": torch.tensor(5), "b/c": torch.randn(1)}
    return {
        "teacher": Teacher(
            spec=spec, weights=weights, classes=CLASSES, mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 3.0), top1=75.5
        ),
        "statistics": class_statistics(),
        "barycenters": Barycenters(
            atoms=torch.randn(3, 2, 4),
            weights=torch.rand(3, 2, dtype=torch.float64),
            costs=torch.rand(3, dtype=torch.float64),
            best_known=torch.rand(3, dtype=torch.float64),
            traces=((3.0, 2.0), (1.0,), ()),
            converged=(True, False, True),
        ),
        "distilled": DistilledSet(
            method="wmdd",
            images=torch.randint(0, 256, (6, 3, 8, 8), dtype=torch.uint8),
            labels=torch.arange(3).repeat_interleave(2),
            weights=torch.full((6,), 0.5),
            classes=CLASSES,
            mean=(0.1,) * 3,
            std=(0.2,) * 3,
        ),
        "diagnosis": diagnosis("head_gaps", "head_bounds", "loss_gaps", "loss_bounds"),
        "diagnosis without bounds": diagnosis(),
        "view features": ClassFeatures(features=torch.randn(5, 4), counts=(2, 1, 2)),
        "losses": SetLosses(
            set="wmdd", values={"w2_views": torch.rand(3).double(), "bn_global": torch.rand(1).double()}
        ),
        "labels full": soft_labels("full"),
        "labels topk": soft_labels("topk"),
        "labels online": soft_labels("online"),
        "evaluation": Evaluation(scores=(score(0), score(1))),
        "nothing": Evaluation(),
    }


def same(one: Any, two: Any) -> bool:
    """Tell whether two records hold the same, tensors bit for bit."""
    if isinstance(one, Tensor):
        return isinstance(two, Tensor) and one.dtype == two.dtype and torch.equal(one, two)
    if is_dataclass(one):
        return type(one) is type(two) and all(
            same(getattr(one, part.name), getattr(two, part.name)) for part in fields(one)
        )
    if isinstance(one, Mapping):
        return one.keys() == two.keys() and all(same(one[name], two[name]) for name in one)
    if isinstance(one, Sequence) and not isinstance(one, str):
        return len(one) == len(two) and all(same(one[index], two[index]) for index in range(len(one)))
    return type(one) is type(two) and one == two


@pytest.mark.parametrize("name", records())
def test_round_trip(tmp_path: Path, name: str) -> None:
    record = records()[name]
    write_record(record, tmp_path)
    back = read_record(type(record), tmp_path)
    assert same(back, record)
    again = tmp_path / "again"
    again.mkdir()
    write_record(back, again)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()} == {
        file.name: file.read_bytes() for file in again.iterdir()
    }


def test_records_come_back_as_tuples_that_cannot_be_changed(tmp_path: Path) -> None:
    write_record(records()["barycenters"], tmp_path)
    back = read_record(Barycenters, tmp_path)
    assert back.traces == ((3.0, 2.0), (1.0,), ())
    assert back.converged == (True, False, True)


def test_no_pickle_on_disk(tmp_path: Path) -> None:
    for name, record in records().items():
        folder = tmp_path / name
        folder.mkdir()
        write_record(record, folder)
    assert {file.suffix for file in tmp_path.rglob("*") if file.is_file()} == {".json", ".safetensors"}


def test_features_that_a_stage_wrote_in_place_are_not_copied_and_are_safetensors(tmp_path: Path) -> None:
    values = class_statistics()
    mapped = mapped_tensor(tmp_path / "features.safetensors", "features", (9, 4))
    mapped.copy_(values.features)
    before = (tmp_path / "features.safetensors").stat().st_ino
    write_record(replace(values, features=mapped), tmp_path)
    assert (tmp_path / "features.safetensors").stat().st_ino == before
    assert torch.equal(load_file(tmp_path / "features.safetensors")["features"], values.features)
    assert "features" not in load_file(tmp_path / "tensors.safetensors")
    assert same(read_record(ClassStatistics, tmp_path), values)


def test_soft_labels_are_read_an_epoch_at_a_time(tmp_path: Path) -> None:
    record = soft_labels()
    write_record(record, tmp_path)
    back = read_record(SoftLabels, tmp_path)
    assert isinstance(back.epochs, LazyEpochs)
    (tmp_path / "epoch-00001.safetensors").unlink()
    assert same(back.epochs[2], record.epochs[2])
    with pytest.raises(ArtifactError, match="epoch-00001"):
        back.epochs[1]


def test_saved_epochs_are_moved_and_only_those_that_are_missing_are_written(tmp_path: Path) -> None:
    record, units = soft_labels(), tmp_path / "work"
    units.mkdir()
    for number in (0, 2):
        write_tensors(units / f"epoch-{number:05d}.safetensors", record.epochs[number].tensors(), {})
    saved = {path.name: path.stat().st_ino for path in units.iterdir()}

    def read(number: int) -> EpochLabels:
        assert number == 1
        return record.epochs[number]

    write_record(replace(record, epochs=LazyEpochs(3, read)), tmp_path, units=units)
    assert {name: (tmp_path / name).stat().st_ino for name in saved} == saved
    assert list(units.iterdir()) == []
    moved = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert same(read_record(SoftLabels, tmp_path), record)
    plain = tmp_path / "plain"
    plain.mkdir()
    write_record(record, plain)
    assert {path.name: path.read_bytes() for path in plain.iterdir()} == moved


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("record.json", None),
        ("record.json", "{"),
        ("record.json", "[]"),
        ("record.json", '{"type": "Teacher", "format": 1}'),
        ("record.json", '{"type": "ClassStatistics", "format": 99}'),
        ("tensors.safetensors", None),
        ("tensors.safetensors", "torn"),
        ("features.safetensors", None),
        ("features.safetensors", "torn"),
    ],
)
def test_damaged_records_are_one_line(tmp_path: Path, file: str, content: str | None) -> None:
    write_record(class_statistics(), tmp_path)
    if content is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_text(content)
    with pytest.raises(ArtifactError, match=str(tmp_path)) as caught:
        read_record(ClassStatistics, tmp_path)
    assert "\n" not in str(caught.value)


def test_what_is_stored_says_what_it_is(tmp_path: Path) -> None:
    write_record(records()["teacher"], tmp_path)
    plain = json.loads((tmp_path / "record.json").read_text("utf-8"))
    assert (plain["type"], plain["format"], plain["classes"]) == ("Teacher", 1, list(CLASSES))
