"""Forgetting: easy, hard and never learned images in order, ties included; and a run from the command's function."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import wmdd
from drawn import drawn_set
from memory_context import MemoryContext
from wmdd.context import Context
from wmdd.errors import DataError
from wmdd.methods.forgetting import ForgettingSettings
from wmdd.methods.forgetting.distill import forgetting_order, pick_by_forgetting
from wmdd.values import ImageSet, Teacher, TrainingDynamics

IMAGES = (  # right or wrong, epoch by epoch; probability, all along
    ("0000", 0.20),  # 0: never learned
    ("1111", 0.70),  # 1: never forgotten
    ("1010", 0.60),  # 2: forgotten twice
    ("0111", 0.90),  # 3: never forgotten, the surer
    ("1100", 0.50),  # 4: forgotten once
    ("1111", 0.70),  # 5: as 1, later in the order
    ("1011", 0.40),  # 6: forgotten once, the less sure
    ("0000", 0.30),  # 7: never learned, the surer
    ("....", 0.00),  # 8: never presented
)


def recorded(images: tuple[tuple[str, float], ...], labels: torch.Tensor) -> TrainingDynamics:
    marks = {"1": 1.0, "0": 0.0, ".": math.nan}
    right = torch.tensor([[marks[mark] for mark in row] for row, _ in images]).T
    probability = torch.tensor([each for _, each in images]).expand_as(right).clone()
    probability[right.isnan()] = math.nan
    return TrainingDynamics(labels=labels, answers=torch.stack([right, probability], dim=1))


def test_the_order_of_easy_and_hard_images() -> None:
    found = recorded(IMAGES, torch.zeros(9, dtype=torch.int64))
    assert forgetting_order(found, "easy").tolist() == [3, 1, 5, 4, 6, 2, 7, 0, 8]
    assert forgetting_order(found, "hard").tolist() == [2, 6, 4, 1, 5, 3, 7, 0, 8]


@pytest.fixture
def three() -> ImageSet:
    """Three classes of nine images, one after the other in turn."""
    drawn = drawn_set(per_class=9)
    order = torch.arange(27).view(3, 9).T.flatten()
    return replace(drawn, images=type(drawn.images)(drawn.images.fetch(order.tolist())), labels=drawn.labels[order])  # type: ignore[call-arg]


def test_each_class_has_its_own_order(three: ImageSet, teacher: Teacher) -> None:
    answers = tuple(IMAGES[(turn + label) % 9] for turn in range(9) for label in range(3))
    found, ctx = recorded(answers, three.labels), MemoryContext()
    picked = pick_by_forgetting(three, teacher, found, ForgettingSettings(), ipc=4, ctx=ctx)
    wanted = [[3 * ((image - label) % 9) + label for image in (3, 1, 5, 4)] for label in range(3)]
    wanted[2][1:3] = sorted(wanted[2][1:3])  # images 1 and 5 are equal: the stored order decides
    wanted[1][1:3] = sorted(wanted[1][1:3])
    assert [row["positions"] for row in ctx.rows] == wanted
    assert [row["events"] for row in ctx.rows] == [[0, 0, 0, 1]] * 3
    assert [row["learned"] for row in ctx.rows] == [[2, 1, 1, 1]] * 3
    assert torch.equal(picked.images, three.images.fetch([at for row in wanted for at in row]))
    assert picked.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert picked.weights.tolist() == [0.25] * 12
    assert (picked.method, picked.classes, picked.mean, picked.std) == (
        "forgetting",
        three.classes,
        teacher.mean,
        teacher.std,
    )
    fewer = pick_by_forgetting(three, teacher, found, ForgettingSettings(), ipc=2, ctx=Context(seed=9))
    assert torch.equal(fewer.images.view(3, 2, -1), picked.images.view(3, 4, -1)[:, :2])  # nested, whatever the seed


def test_what_does_not_belong_together_is_refused(three: ImageSet, teacher: Teacher) -> None:
    found = recorded(IMAGES * 3, three.labels)
    with pytest.raises(DataError, match="got ipc 10"):
        pick_by_forgetting(three, teacher, found, ForgettingSettings(), ipc=10)
    with pytest.raises(DataError, match="disagree about the classes"):
        pick_by_forgetting(three, replace(teacher, classes=("a", "b", "c")), found, ForgettingSettings(), ipc=1)
    with pytest.raises(DataError, match="training dynamics and images do not belong together"):
        pick_by_forgetting(three, teacher, replace(found, labels=found.labels.flip(0)), ForgettingSettings(), ipc=1)


def test_a_run_shares_its_dynamics_between_seeds_and_sizes(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "device": "cpu",
        "squeeze": {"arch": "convnet1_w8_bn", "epochs": 3, "batch": 64, "lr": 0.05},
        "evaluate": {"students": ("convnet1_w8_bn",), "epochs": 1, "seeds": 1, "labels": "hard"},
    }
    place: dict[str, Any] = {"method": "forgetting", "store": tmp_path / "store"}
    one = wmdd.distill("digits", ipc=2, out=tmp_path / "one", **place, **settings)
    two = wmdd.distill("digits", ipc=3, seed=5, out=tmp_path / "two", **place, **settings)
    assert len(list((tmp_path / "store").glob("dynamics-*"))) == 1
    assert {row["set"] for row in one.metrics["evaluations"]} >= {"forgetting", "random"}
    easy, more = (wmdd.load(run.out / "distilled").images for run in (one, two))
    assert torch.equal(easy.view(10, 2, -1), more.view(10, 3, -1)[:, :2])
    wmdd.distill("digits", ipc=2, out=tmp_path / "hard", **place, **settings, **{"forgetting": {"keep": "hard"}})
    assert not torch.equal(wmdd.load(tmp_path / "hard" / "distilled").images, easy)
    assert len(list((tmp_path / "store").glob("dynamics-*"))) == 1


def test_the_card_of_a_run_with_a_checkpoint_says_how_the_recorded_network_was_trained(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "device": "cpu",
        "squeeze": {"arch": "convnet1_w8_bn", "epochs": 2, "lr": 0.0625},
        "evaluate": {"students": ("convnet1_w8_bn",), "epochs": 1, "seeds": 1},
    }
    place: dict[str, Any] = {"ipc": 1, "store": tmp_path / "store"}
    wmdd.distill("digits", method="random", out=tmp_path / "teacher", **place, **settings)
    trained = load_file(next((tmp_path / "store").glob("squeeze-*")) / "tensors.safetensors")
    torch.save({name.removeprefix("weights/"): value for name, value in trained.items()}, tmp_path / "teacher.pt")
    settings["squeeze"] |= {"checkpoint": str(tmp_path / "teacher.pt"), "accept_weak": True}
    wmdd.distill("digits", method="forgetting", out=tmp_path / "run", **place, **settings)
    assert "lr: 0.0625" in (tmp_path / "run" / "distilled" / "README.md").read_text("utf-8")
