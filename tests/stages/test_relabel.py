"""Relabel: the teacher's answers belong to the views they were given for, in every form of storage."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from memory_context import KilledError, MemoryContext
from plain_views import apply_views, full_views
from wmdd.context import Context
from wmdd.data.drawing import draw_again, labels_of, same_views
from wmdd.data.loading import to_float
from wmdd.errors import ArtifactError
from wmdd.models.building import build_teacher
from wmdd.product.labels import soft_targets
from wmdd.settings import RelabelSettings
from wmdd.stages.relabel import relabel
from wmdd.values import DistilledSet, EpochLabels, SoftLabels, Teacher
from wmdd.values.quantising import label_bytes


def made(distilled: DistilledSet, teacher: Teacher, ctx: Context | None = None, **changes: object) -> SoftLabels:
    return relabel(distilled, (teacher,), RelabelSettings(**changes), epochs=3, batch=4, ctx=ctx)


def same(one: EpochLabels, other: EpochLabels) -> bool:
    left, right = one.tensors(), other.tensors()
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def asked(distilled: DistilledSet, teacher: Teacher, epoch: EpochLabels) -> Tensor:
    """Return the teacher's logits of an epoch's views, replayed one by one."""
    images = to_float(distilled.images, distilled.mean, distilled.std)
    model = build_teacher(teacher)
    with torch.no_grad():
        rows = [model(apply_views(images, epoch.views.rows(row, row + 1), 8)) for row in range(len(epoch.views))]
    return torch.cat(rows)


def test_the_same_seed_gives_the_same_views_and_answers(
    distilled: DistilledSet, teacher: Teacher, global_stream_untouched: Callable[[], None]
) -> None:
    one = made(distilled, teacher, Context(seed=1))
    global_stream_untouched()
    torch.manual_seed(50)
    again, other = made(distilled, teacher, Context(seed=1)), made(distilled, teacher, Context(seed=2))
    assert all(same(one.epochs[epoch], again.epochs[epoch]) for epoch in range(3))
    assert not torch.equal(one.epochs[0].views.crop, other.epochs[0].views.crop)
    assert not torch.equal(one.epochs[0].views.crop, one.epochs[1].views.crop)


def test_every_epoch_shows_every_image_once(distilled: DistilledSet, teacher: Teacher) -> None:
    labels = made(distilled, teacher)
    assert len(labels.epochs) == 3
    assert (labels.store, labels.batch, labels.temperature, labels.num_classes) == ("full", 4, 20.0, 3)
    for epoch in labels.epochs:
        assert sorted(epoch.views.index.tolist()) == list(range(6))
    assert bool((labels.epochs[0].views.patch[:, 2] > 0).any())


def test_stored_logits_are_the_teachers_of_the_replayed_view(distilled: DistilledSet, teacher: Teacher) -> None:
    for epoch in made(distilled, teacher).epochs:
        assert epoch.logits is not None
        assert epoch.logits.dtype == torch.float16
        torch.testing.assert_close(epoch.logits.float(), asked(distilled, teacher, epoch), rtol=1e-3, atol=1e-3)


def test_plain_logits_are_of_the_images_as_they_are(distilled: DistilledSet, teacher: Teacher) -> None:
    images = apply_views(to_float(distilled.images, distilled.mean, distilled.std), full_views(torch.arange(6), 8), 8)
    with torch.no_grad():
        expected = build_teacher(teacher)(images)
    torch.testing.assert_close(made(distilled, teacher).plain, expected, rtol=1e-5, atol=1e-5)


def test_compact_logits_are_the_full_ones_in_8_bits(distilled: DistilledSet, teacher: Teacher) -> None:
    full, short = made(distilled, teacher), made(distilled, teacher, store="topk", top_k=1)
    for whole, kept in zip(full.epochs, short.epochs, strict=True):
        assert torch.equal(whole.views.crop, kept.views.crop)
        logits = soft_targets(whole, 3)
        found = soft_targets(kept, 3)
        torch.testing.assert_close(found.max(1).values, logits.max(1).values, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(found.sum(1), logits.sum(1), rtol=0, atol=0.02)
        assert torch.equal(found.argmax(1), logits.argmax(1))
    assert full.num_bytes == 3 * 6 * (42 + 2 * 3)
    assert short.num_bytes == 3 * (6 * label_bytes(3, 1) + 8)
    assert made(distilled, teacher, store="topk", top_k=3).epochs[0].classes is None


def test_online_labels_keep_the_views_only(distilled: DistilledSet, teacher: Teacher) -> None:
    full, online = made(distilled, teacher), made(distilled, teacher, store="online")
    assert torch.equal(full.epochs[1].views.crop, online.epochs[1].views.crop)
    assert online.epochs[0].logits is None
    assert online.num_bytes == 0
    assert not online.has_files
    with pytest.raises(ArtifactError, match="online"):
        soft_targets(online.epochs[0], 3)


def test_bytes_are_those_of_all_tensors(distilled: DistilledSet, teacher: Teacher) -> None:
    labels = made(distilled, teacher)
    assert labels.num_bytes == sum(value.nbytes for epoch in labels.epochs for value in epoch.tensors().values())


def test_killed_and_resumed_equals_unbroken(distilled: DistilledSet, teacher: Teacher) -> None:
    unbroken = made(distilled, teacher)
    dying = MemoryContext(dies_after=2)
    with pytest.raises(KilledError):
        made(distilled, teacher, dying)
    second = dying.again()
    resumed = made(distilled, teacher, second)
    assert second.saves == ["epoch-00002"]
    assert second.steps == [(1, 3), (2, 3), (3, 3)]
    assert all(same(one, other) for one, other in zip(unbroken.epochs, resumed.epochs, strict=True))
    assert torch.equal(resumed.plain, unbroken.plain)


def test_an_epoch_that_is_gone_says_so(distilled: DistilledSet, teacher: Teacher) -> None:
    ctx = MemoryContext()
    labels = made(distilled, teacher, ctx)
    ctx.kept.clear()
    with pytest.raises(ArtifactError, match="run the same command again"):
        _ = labels.epochs[0]


def test_without_views_every_epoch_is_the_plain_answer(distilled: DistilledSet, teacher: Teacher) -> None:
    labels = made(distilled, teacher, crop_min=1.0, flip=False, cutmix=0.0)
    for epoch in labels.epochs:
        torch.testing.assert_close(soft_targets(epoch, 3), labels.plain[epoch.views.index], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("store", ["topk", "online"])
def test_views_that_are_drawn_again_are_those_that_full_labels_store(
    distilled: DistilledSet, teacher: Teacher, store: str
) -> None:
    full = made(distilled, teacher, MemoryContext(), crop_min=0.5)
    compact = made(distilled, teacher, MemoryContext(), crop_min=0.5, store=store)
    for one, other in zip(full.epochs, compact.epochs, strict=True):
        assert same_views(one.views, other.views)


def test_answers_are_never_paired_with_other_views(distilled: DistilledSet, teacher: Teacher) -> None:
    ctx = MemoryContext()
    labels = made(distilled, teacher, ctx, store="topk", top_k=2)
    assert "views.crop" not in ctx.kept["epoch-00000"].tensors
    assert labels.drawn is not None
    stored = ctx.kept["epoch-00000"].tensors
    views = draw_again(replace(labels.drawn, seed=5), 0, count=6, batch=4)
    with pytest.raises(ArtifactError, match="not those that were labelled"):
        labels_of(stored, views)
    with pytest.raises(ArtifactError, match="without their seed"):
        draw_again(replace(labels.drawn, seed=None), 0, count=6, batch=4)


def test_passes_make_a_pool_but_not_of_online_labels(distilled: DistilledSet, teacher: Teacher) -> None:
    assert [made(distilled, teacher, store=store, passes=3).pooled for store in ("full", "topk", "online")] == [
        True, True, False
    ]  # fmt: skip
    assert not made(distilled, teacher).pooled
