"""Pools of real images: which images their students see, how often, in how many steps, and under which labels."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from memory_context import KilledError, MemoryContext
from wmdd.context import Context
from wmdd.data.real_sets import random_positions
from wmdd.errors import DataError
from wmdd.evaluation.pools import Pool
from wmdd.evaluation.real_names import CEILING_SET, pool_set
from wmdd.methods.random.distill import pick_random
from wmdd.settings import EvaluateSettings, NoSettings, RelabelSettings
from wmdd.stages.evaluate import evaluate
from wmdd.stages.pool import evaluate_pool
from wmdd.stages.relabel import relabel
from wmdd.training.loop import Task, Trained
from wmdd.values import DistilledSet, Evaluation, Images, ImageSet, SoftLabels, Teacher

STUDENT = "convnet1_w4"
IPC = 2
TRAINED = ["wmdd", "rded", "rded_mosaic", "dc", "hard", "own"]


@dataclass
class Stored:
    """Images that must be decoded."""

    images: Images

    @property
    def in_memory(self) -> bool:
        return False

    def __len__(self) -> int:
        return len(self.images)

    def fetch(self, indices: Sequence[int]) -> Tensor:
        return self.images.fetch(indices)


def settings(**changes: object) -> EvaluateSettings:
    return EvaluateSettings(
        **{"students": (STUDENT,), "seeds": 2, "epochs": 3, "tests": 1, "labels": "soft", **changes}
    )


@pytest.fixture
def floor(image_set: ImageSet, teacher: Teacher) -> DistilledSet:
    return pick_random(image_set, teacher, NoSettings(), ipc=IPC, ctx=Context(stage="random"))


@pytest.fixture
def labels(floor: DistilledSet, teacher: Teacher) -> SoftLabels:
    return relabel(floor, (teacher,), RelabelSettings(store="online"), epochs=3, batch=6)


def scores_of(
    train: ImageSet, labels: SoftLabels, teacher: Teacher, val: ImageSet, chosen: EvaluateSettings, **facts: Any
) -> Evaluation:
    return evaluate_pool(train, (labels,), (teacher,), val, chosen, **{"ipc": IPC, "per_class": None, **facts})


@pytest.mark.parametrize("wanted", ["soft", "hard"])
@pytest.mark.parametrize("protocol", TRAINED)
def test_a_pool_as_large_as_the_set_is_method_random(
    protocol: str,
    wanted: str,
    floor: DistilledSet,
    labels: SoftLabels,
    image_set: ImageSet,
    teacher: Teacher,
    val_set: ImageSet,
) -> None:
    chosen, pooled = settings(protocols=(protocol,), labels=wanted), Context(stage="pool")
    of_set = evaluate(floor, (labels,), (teacher,), val_set, chosen, ctx=Context(stage="evaluate"))
    of_pool = scores_of(image_set, labels, teacher, val_set, chosen, per_class=IPC, ctx=pooled)
    assert len(of_set.scores) == 2
    (images,) = {score.images for score in of_pool.scores}
    assert of_pool.scores == tuple(replace(score, set="random ×1", images=images) for score in of_set.scores)


def test_pools_of_one_seed_are_nested_and_another_seed_draws_others(image_set: ImageSet) -> None:
    one, three, other = (
        random_positions(image_set, 2, 0),
        random_positions(image_set, 6, 0),
        random_positions(image_set, 2, 1),
    )
    assert set(one.tolist()) < set(three.tolist())
    assert set(one.tolist()) != set(other.tolist())
    assert Counter(image_set.labels[three].tolist()) == {0: 6, 1: 6, 2: 6}


@pytest.mark.parametrize("per_class", [2, 5, 11, None])
def test_every_image_of_a_pool_is_seen_as_often_as_any_other_up_to_one(
    per_class: int | None, image_set: ImageSet, teacher: Teacher
) -> None:
    pool = Pool.of(image_set, teacher, ipc=IPC, per_class=per_class, ctx=Context(seed=3))
    seen: Counter[int] = Counter(dict.fromkeys(pool.positions.tolist(), 0))
    for epoch in range(20):
        taken = pool.taken(7, epoch).tolist()
        assert len(taken) == IPC * len(image_set.classes)
        seen.update(taken)
        assert max(seen.values()) - min(seen.values()) <= 1
    assert len(seen) == (len(image_set) if per_class is None else per_class * len(image_set.classes))


def test_students_see_the_pool_in_orders_of_their_own_again_the_same(image_set: ImageSet, teacher: Teacher) -> None:
    pool = Pool.of(image_set, teacher, ipc=IPC, per_class=None, ctx=Context())
    assert torch.equal(pool.taken(0, 4), pool.taken(0, 4))
    assert not torch.equal(pool.taken(0, 4), pool.taken(1, 4))
    shown, taken = pool(0, 4), pool.taken(0, 4)
    assert torch.equal(shown.images, image_set.images.fetch(taken.tolist()))
    assert torch.equal(shown.labels, image_set.labels[taken])
    assert (shown.method, shown.ipc) == (CEILING_SET, IPC)
    torch.testing.assert_close(shown.relative_weights, torch.ones(6))


def test_images_on_disk_come_from_workers_as_from_memory(image_set: ImageSet, teacher: Teacher) -> None:
    stored = replace(image_set, images=Stored(image_set.images))
    alone, helped = (
        Pool.of(stored, teacher, ipc=IPC, per_class=None, ctx=Context(workers=workers)) for workers in (0, 1)
    )
    assert torch.equal(alone(0, 1).images, helped(0, 1).images)
    assert torch.equal(alone(0, 1).images, image_set.images.fetch(alone.taken(0, 1).tolist()))


def test_the_ceiling_has_as_many_steps_and_the_same_settings(
    floor: DistilledSet,
    labels: SoftLabels,
    image_set: ImageSet,
    teacher: Teacher,
    val_set: ImageSet,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorded: list[tuple[int, int, Any]] = []

    def fit(model: Any, task: Task, chosen: Any, *, ctx: Context) -> Trained:
        del ctx
        steps = [len(list(task.batches(epoch))) for epoch in range(chosen.epochs)]
        recorded.append((task.steps, sum(steps), chosen))
        return Trained(model=model, history=({"epoch": 1, "top1": 1.0, "top5": 2.0, "test_loss": 3.0},))

    monkeypatch.setattr("wmdd.evaluation.procedures.fit", fit)
    chosen = settings(protocols=("wmdd", "rded", "dc", "hard"), labels="both", epochs=2)
    evaluate(floor, (labels,), (teacher,), val_set, chosen)
    of_set, recorded[:] = list(recorded), []
    scores_of(image_set, labels, teacher, val_set, chosen)
    assert recorded == of_set


def test_views_of_stored_labels_are_shown_of_the_pools_images_to_the_teacher(
    image_set: ImageSet, teacher: Teacher, val_set: ImageSet, floor: DistilledSet
) -> None:
    chosen, ctx = settings(), Context(stage="pool")
    stores = [
        relabel(floor, (teacher,), RelabelSettings(store=store), epochs=3, batch=6) for store in ("full", "online")
    ]
    full, online = (scores_of(image_set, each, teacher, val_set, chosen, ctx=ctx) for each in stores)
    assert full == online  # the stored answers, which are about other images, are not used
    usual, cold = MemoryContext(stage="pool"), MemoryContext(stage="pool")
    scores_of(image_set, stores[0], teacher, val_set, chosen, ctx=usual)
    scores_of(image_set, replace(stores[0], temperature=1.0), teacher, val_set, chosen, ctx=cold)
    assert all(one["loss"] != other["loss"] for one, other in zip(usual.rows, cold.rows, strict=True))


@pytest.mark.parametrize("wanted", ["soft", "hard"])
@pytest.mark.parametrize("protocol", TRAINED)
@pytest.mark.parametrize("per_class", [6, None])
def test_killed_and_resumed_equals_unbroken(
    per_class: int | None,
    protocol: str,
    wanted: str,
    labels: SoftLabels,
    image_set: ImageSet,
    teacher: Teacher,
    val_set: ImageSet,
) -> None:
    chosen = settings(protocols=(protocol,), labels=wanted, seeds=1)
    unbroken = scores_of(image_set, labels, teacher, val_set, chosen, per_class=per_class, ctx=MemoryContext())
    dying = MemoryContext(dies_after=2)
    with pytest.raises(KilledError):
        scores_of(image_set, labels, teacher, val_set, chosen, per_class=per_class, ctx=dying)
    resumed = scores_of(image_set, labels, teacher, val_set, chosen, per_class=per_class, ctx=dying.again())
    assert resumed == unbroken
    (score,) = unbroken.scores
    assert (score.set, score.ipc) == (pool_set(per_class, IPC), IPC)
    assert math.isfinite(score.top1)


def test_procedures_without_training_have_no_pool(
    labels: SoftLabels, image_set: ImageSet, teacher: Teacher, val_set: ImageSet
) -> None:
    ctx = MemoryContext()
    assert scores_of(image_set, labels, teacher, val_set, settings(protocols=("kernel",)), ctx=ctx).scores == ()
    (score,) = scores_of(
        image_set, labels, teacher, val_set, settings(protocols=("kernel", "dc"), seeds=1), ctx=ctx
    ).scores
    assert score.protocol == "dc"
    assert ctx.steps == [(1, 3), (2, 3), (3, 3)]


def test_more_images_than_a_class_has_are_one_line(
    labels: SoftLabels, image_set: ImageSet, teacher: Teacher, val_set: ImageSet
) -> None:
    with pytest.raises(DataError, match="has 12 images for training; got ipc 13"):
        scores_of(image_set, labels, teacher, val_set, settings(), per_class=13)
