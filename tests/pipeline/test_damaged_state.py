"""Saved state that is not what was saved is noticed, removed and made again; the result is that of an unbroken run."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from damage import json_text
from drawn import drawn_set, drawn_teacher
from memory_context import KilledError
from mutations import damaged, damaged_json
from wmdd.artifacts.folder import ResultFolder, Store
from wmdd.context import Context
from wmdd.methods.mtt import ExpertsSettings
from wmdd.methods.mtt.experts import experts
from wmdd.pipeline.stored_context import StoredContext
from wmdd.pipeline.watchers import Watcher
from wmdd.settings import SqueezeSettings, StatisticsSettings
from wmdd.stages.dynamics import dynamics
from wmdd.stages.statistics import statistics
from wmdd.values import ClassStatistics, ImageSet, Teacher, TrainingDynamics


class Dying(StoredContext):
    """Dies right after the save of a name."""

    def save(self, name: str, tensors: Any, *, rows: Tensor | None = None, **facts: Any) -> bool:
        super().save(name, tensors, rows=rows, **facts)
        if name == "class-00001" or (name in ("expert-00001", "recorded network") and facts["epoch"] == 2):
            raise KilledError
        return True


def context(folder: ResultFolder, kind: type[StoredContext] = StoredContext) -> StoredContext:
    folder.work.mkdir(parents=True, exist_ok=True)
    log = folder.path.with_name("log.jsonl")
    return kind(stage="statistics", title="statistics", folder=folder, run_log=log, watcher=Watcher(), save_every=0.0)


@pytest.fixture
def folder(tmp_path: Path) -> ResultFolder:
    return Store(root=tmp_path / "store").folder("statistics", "0")


def flip(path: Path, at: int = -1) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def take_seal(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"seal", b"sell", 1))


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("work/class-00000.safetensors", flip),
        ("work/class-00000.safetensors", take_seal),
        ("work/class-00000.safetensors", lambda path: path.write_bytes(b"")),
        ("work/class-00001.safetensors", lambda path: path.write_bytes(path.read_bytes()[:-9])),
        ("features.safetensors", lambda path: flip(path, 100)),  # a row of the first class
        ("features.safetensors", lambda path: path.write_bytes(path.read_bytes()[:-9])),
        ("features.safetensors", Path.unlink),
    ],
)
def test_a_damaged_class_is_computed_again(
    folder: ResultFolder, image_set: ImageSet, teacher: Teacher, name: str, spoil: Callable[[Path], None]
) -> None:
    expected = statistics(image_set, teacher, StatisticsSettings())
    with pytest.raises(KilledError):
        statistics(image_set, teacher, StatisticsSettings(), ctx=context(folder, Dying))
    spoil(folder.path / name)
    ctx = context(folder)
    found = statistics(image_set, teacher, StatisticsSettings(), ctx=ctx)
    assert torch.equal(found.features, expected.features)
    assert torch.equal(found.means, expected.means)
    assert {warning.kind for warning in ctx.warnings} == {"damaged state"}
    assert all(str(folder.work) in warning.text for warning in ctx.warnings)
    folder.commit(found, {})
    assert torch.equal(folder.read(ClassStatistics).features, expected.features)


def test_undamaged_state_is_used_without_a_word(folder: ResultFolder, image_set: ImageSet, teacher: Teacher) -> None:
    with pytest.raises(KilledError):
        statistics(image_set, teacher, StatisticsSettings(), ctx=context(folder, Dying))
    before = (folder.work / "class-00001.safetensors").stat().st_mtime_ns
    ctx = context(folder)
    statistics(image_set, teacher, StatisticsSettings(), ctx=ctx)
    assert ctx.warnings == []
    assert (folder.work / "class-00001.safetensors").stat().st_mtime_ns == before


@pytest.mark.parametrize("row", [0, 3, 4])
def test_damaged_rows_of_an_expert_in_training_are_written_again(folder: ResultFolder, row: int) -> None:
    train = drawn_set()
    given = drawn_teacher(train), ExpertsSettings(arch="convnet1_w4", count=2, epochs=3, batch=12)
    expected = experts(train, *given, ctx=Context(stage="statistics")).parameters
    with pytest.raises(KilledError):
        experts(train, *given, ctx=context(folder, Dying))
    torch.from_file(  # rows 0 to 3 belong to the first expert, 4 to 7 to the second, which has finished two epochs
        str(folder.path / "parameters.safetensors"),
        shared=True,
        size=(folder.path / "parameters.safetensors").stat().st_size // 4,
    )[-expected.numel() :].view(8, -1)[row] += 1
    ctx = context(folder)
    assert torch.equal(experts(train, *given, ctx=ctx).parameters, expected)
    assert {warning.kind for warning in ctx.warnings} == {"damaged state"}


@pytest.mark.parametrize("epoch", [None, 0, 1, 2])
def test_damaged_answers_of_a_network_in_training_are_written_again(folder: ResultFolder, epoch: int | None) -> None:
    train, settings = drawn_set(), SqueezeSettings(arch="convnet1_w4_bn", epochs=4, batch=12)
    expected = dynamics(train, settings, ctx=Context(stage="statistics")).answers
    with pytest.raises(KilledError):
        dynamics(train, settings, ctx=context(folder, Dying))
    if epoch is not None:
        file = folder.path / "answers.safetensors"
        whole = torch.from_file(str(file), shared=True, size=file.stat().st_size // 4)
        whole[-expected.numel() :].view(4, -1)[epoch] += 1
    ctx = context(folder)
    found = dynamics(train, settings, ctx=ctx)
    assert torch.equal(found.answers, expected)
    damage = {"damaged state"} if epoch in (0, 1) else set[str]()  # the third epoch was not saved yet
    assert {warning.kind for warning in ctx.warnings} == damage
    folder.commit(found, {})
    assert torch.equal(folder.read(TrainingDynamics).confidence, found.confidence)


@pytest.mark.parametrize("content", ["{}", "[", "[" * 5000, "null", '"1"', ""])
def test_damaged_seconds_cost_nothing_but_the_seconds(folder: ResultFolder, content: str) -> None:
    folder.work.mkdir(parents=True)
    (folder.work / "seconds.json").write_text(content)
    ctx = context(folder)
    assert ctx.clock.before == 0
    assert [warning.kind for warning in ctx.warnings] == ["damaged state"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100))
def test_any_damage_of_saved_state_is_noticed(
    folder: ResultFolder, image_set: ImageSet, teacher: Teacher, seed: int
) -> None:
    expected = statistics(image_set, teacher, StatisticsSettings())
    with pytest.raises(KilledError):
        statistics(image_set, teacher, StatisticsSettings(), ctx=context(folder, Dying))
    for name in ("work/class-00000.safetensors", "features.safetensors"):
        path = folder.path / name
        path.write_bytes(damaged(path.read_bytes(), seed))
    seconds = folder.work / "seconds.json"
    seconds.write_text(json_text(damaged_json(json.loads("[3.5]"), seed)))
    found = statistics(image_set, teacher, StatisticsSettings(), ctx=context(folder))
    assert torch.equal(found.features, expected.features)
    assert torch.equal(found.means, expected.means)
