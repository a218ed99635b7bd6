"""Records: their small computations, and epochs that are read when asked for."""

from dataclasses import FrozenInstanceError

import pytest
import torch

from plain_views import full_views
from wmdd.values import ClassStatistics, DistilledSet, EpochLabels, ImageSet, LazyEpochs


def test_image_sets_know_their_classes(image_set: ImageSet) -> None:
    assert len(image_set) == 36
    assert image_set.of_class(1).tolist() == list(range(12, 24))
    with pytest.raises(FrozenInstanceError):
        image_set.name = "other"  # type: ignore[misc]


def test_statistics_give_the_rows_of_a_class() -> None:
    features = torch.arange(12.0).view(6, 2)
    empty = torch.zeros(3, 0, dtype=torch.float64)
    stats = ClassStatistics(features=features, counts=(1, 3, 2), layers=(), widths=(), means=empty, variances=empty)
    assert [stats.of_class(label)[:, 0].tolist() for label in range(3)] == [[0.0], [2.0, 4.0, 6.0], [8.0, 10.0]]


def test_views_are_cut_by_rows() -> None:
    views = full_views(torch.arange(5), 8)
    part = views.rows(1, 3)
    assert (len(views), len(part), len(views.rows(4, 9))) == (5, 2, 1)
    assert part.index.tolist() == [1, 2]
    assert part.patch.shape == (2, 4)


@pytest.mark.parametrize("kept", [(), ("logits",), ("logits", "classes", "rest")])
def test_epochs_survive_as_named_tensors(kept: tuple[str, ...]) -> None:
    columns = {"logits": torch.rand(4, 2).half(), "classes": torch.ones(4, 2).int(), "rest": torch.rand(4).half()}
    chosen = {name: columns[name] if name in kept else None for name in columns}
    epoch = EpochLabels(views=full_views(torch.arange(4), 8), **chosen)
    named = epoch.tensors()
    assert set(named) == {f"views.{name}" for name in epoch.views.__slots__} | set(kept)
    again = EpochLabels.of(named).tensors()
    assert all(torch.equal(again[name], named[name]) for name in named)
    assert again.keys() == named.keys()


def test_lazy_epochs_are_read_one_at_a_time_and_not_kept() -> None:
    read: list[int] = []

    def load(number: int) -> EpochLabels:
        read.append(number)
        return EpochLabels(views=full_views(torch.tensor([number]), 8), logits=None)

    epochs = LazyEpochs(4, load)
    assert len(epochs) == 4
    assert read == []
    assert int(epochs[-1].views.index) == 3
    assert [int(epoch.views.index) for epoch in epochs[1:3]] == [1, 2]
    assert [int(epoch.views.index) for epoch in epochs] == [0, 1, 2, 3]
    assert read == [3, 1, 2, 0, 1, 2, 3]
    for beyond in (4, -5):
        with pytest.raises(IndexError, match="of 4"):
            epochs[beyond]


def test_distilled_sets_know_their_sizes() -> None:
    found = DistilledSet(
        method="x",
        images=torch.zeros(6, 1, 9, 9, dtype=torch.uint8),
        labels=torch.arange(3).repeat_interleave(2),
        weights=torch.full((6,), 0.5),
        classes=("a", "b", "c"),
        mean=(0.0,),
        std=(1.0,),
    )
    assert (found.ipc, found.image_size) == (2, 9)
