"""CAD-Prune: difficulty against numpy's deviations, orders, and what is refused."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import wmdd
from memory_context import MemoryContext
from wmdd.errors import ConfigError, DataError
from wmdd.methods.cad_prune import CadSettings
from wmdd.methods.cad_prune.distill import compute_aware_difficulty, difficulty_order, pick_by_difficulty
from wmdd.values import ImageSet, Teacher, TrainingDynamics

NAN = math.nan


def recorded(probability: torch.Tensor, labels: torch.Tensor | None = None) -> TrainingDynamics:
    right = torch.where(probability.isnan(), NAN, (probability > 0.5).float())
    labels = torch.zeros(probability.shape[1], dtype=torch.int64) if labels is None else labels
    return TrainingDynamics(labels=labels, answers=torch.stack([right, probability], dim=1))


def cad(**changes: object) -> CadSettings:
    return CadSettings(**{"window": 2, "windows": 2, **changes})


def test_difficulty_by_hand() -> None:
    """Five epochs, J = 2, W = 2: windows begin in epochs 1 and 2 of 0 to 4; the first and the last do not count."""
    probability = torch.tensor([[0.9, 0.0, 0.4, 0.6, 0.1], [0.5] * 5]).T
    found = compute_aware_difficulty(probability, 2, 2)
    assert found.tolist() == pytest.approx([(0.4 / math.sqrt(2) + 0.2 / math.sqrt(2)) / 2, 0.0], abs=1e-7)


def test_difficulty_is_numpys() -> None:
    probability = torch.rand(12, 30, generator=torch.Generator().manual_seed(3))
    table = probability.numpy().astype(np.float64)
    window, windows = 4, 5
    spans = [table[k : k + window].std(axis=0, ddof=1) for k in range(12 - window - windows, 12 - window)]
    expected = np.mean(spans, axis=0)
    np.testing.assert_allclose(compute_aware_difficulty(probability, window, windows).numpy(), expected, rtol=1e-9)


def test_epochs_without_the_image_are_left_out() -> None:
    probability = torch.tensor([[0.2, NAN, 0.6, NAN], [NAN, NAN, 0.6, NAN], [NAN, NAN, NAN, NAN]]).T
    assert compute_aware_difficulty(probability, 3, 1).tolist() == pytest.approx([0.4 / math.sqrt(2), 0.0, 0.0])


def test_orders_and_ties() -> None:
    unsteady, middle, steady = [0.1, 0.9, 0.1, 0.9], [0.6, 0.8, 0.6, 0.8], [0.9, 0.9, 0.9, 0.9]
    never = [0.1, 0.1, 0.1, 0.1]
    found = recorded(torch.tensor([never, steady, unsteady, middle, steady, unsteady]).T)
    assert difficulty_order(found, cad()).tolist() == [2, 5, 3, 0, 1, 4]
    assert difficulty_order(found, cad(keep="lowest")).tolist() == [1, 4, 3, 2, 5, 0]


def test_each_class_has_its_own_order(image_set: ImageSet, teacher: Teacher) -> None:
    probability = torch.rand(5, 36, generator=torch.Generator().manual_seed(1))
    found, ctx = recorded(probability, image_set.labels), MemoryContext()
    picked = pick_by_difficulty(image_set, teacher, found, cad(), ipc=3, ctx=ctx)
    difficulty = compute_aware_difficulty(probability, 2, 2)
    for label, row in enumerate(ctx.rows):
        members = [at for at in range(36) if int(image_set.labels[at]) == label]
        assert row["positions"] == sorted(members, key=lambda at: -float(difficulty[at]))[:3]
    assert torch.equal(picked.images, image_set.images.fetch([at for row in ctx.rows for at in row["positions"]]))
    assert picked.method == "cad-prune"


def test_too_few_epochs_are_refused_beforehand(image_set: ImageSet, teacher: Teacher) -> None:
    with pytest.raises(ConfigError, match=r"epochs must be at least window \+ windows; got 3, 2 and 2; raise cad"):
        cad(epochs=3)
    found = recorded(torch.rand(3, 36), image_set.labels)
    with pytest.raises(ConfigError, match="got 3 epochs, window 2 and 2 windows; raise cad.epochs"):
        pick_by_difficulty(image_set, teacher, found, cad(), ipc=1)
    with pytest.raises(DataError, match="do not belong together"):
        pick_by_difficulty(image_set, teacher, recorded(torch.rand(4, 36)), cad(), ipc=1)


def test_a_run_records_a_training_of_its_own_length(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "device": "cpu",
        "squeeze": {"arch": "convnet1_w8_bn", "epochs": 2, "batch": 64, "lr": 0.05},
        "evaluate": {"students": ("convnet1_w8_bn",), "epochs": 1, "seeds": 1, "labels": "hard"},
        "cad": {"window": 2, "windows": 1},
    }
    place: dict[str, Any] = {"ipc": 2, "method": "cad-prune", "store": tmp_path / "store"}
    with pytest.raises(ConfigError, match="got 2 epochs"):
        wmdd.distill("digits", out=tmp_path / "short", **place, **settings)
    settings["cad"]["epochs"] = 4
    run = wmdd.distill("digits", out=tmp_path / "run", **place, **settings)
    assert {row["set"] for row in run.metrics["evaluations"]} >= {"cad-prune", "random"}
    assert len(list((tmp_path / "store").glob("dynamics-*"))) == 1
