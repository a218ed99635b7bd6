"""The order in which stored labels are replayed."""

from collections import Counter

import pytest
import torch

from wmdd.context import stream
from wmdd.data.replay import Replay
from wmdd.data.views import epoch_views
from wmdd.settings import ViewSettings
from wmdd.values import EpochLabels, SoftLabels

COUNT, BATCH, STORED = 10, 4, 3


def labels(*, pooled: bool) -> SoftLabels:
    epochs = []
    for number in range(STORED):
        views = epoch_views(
            COUNT, BATCH, 8, 8, ViewSettings(), generator_for=lambda b: stream(b), shuffle=stream(number, "order")
        )
        epochs.append(EpochLabels(views=views, logits=torch.full((COUNT, 2), float(number)).half()))
    return SoftLabels(
        store="full",
        batch=BATCH,
        temperature=1.0,
        num_classes=2,
        epochs=epochs,
        plain=torch.zeros(COUNT, 2),
        num_bytes=0,
        pooled=pooled,
    )


def shown(replay: Replay, epoch: int) -> list[tuple[int, tuple[int, ...]]]:
    """Return stored epoch and images of each batch of an epoch."""
    found = []
    for batch in replay.batches(epoch):
        assert batch.logits is not None
        found.append((int(batch.logits[0, 0]), tuple(batch.views.index.tolist())))
    return found


def replay_of(seed: int = 0, *, pooled: bool = True, batch: int = BATCH) -> Replay:
    return Replay(labels(pooled=pooled), batch, lambda turn: stream(seed, turn))


def test_the_first_round_is_the_stored_order() -> None:
    stored = labels(pooled=True).epochs
    for number in range(STORED):
        rows = [image for _, batch in shown(replay_of(), number) for image in batch]
        assert rows == stored[number].views.index.tolist()


@pytest.mark.parametrize("batch", [4, 3, 10])
def test_every_round_shows_every_stored_batch_once(batch: int) -> None:
    replay = replay_of(batch=batch)
    first = Counter(each for epoch in range(STORED) for each in shown(replay, epoch))
    for turn in (1, 2):
        later = Counter(each for epoch in range(turn * STORED, (turn + 1) * STORED) for each in shown(replay, epoch))
        assert later == first
    assert shown(replay, STORED) != shown(replay, 0)


def test_the_order_of_a_round_is_the_permutation_of_its_stream() -> None:
    replay = replay_of(seed=4)
    batches = [each for epoch in range(STORED) for each in shown(replay, epoch)]
    order = torch.randperm(len(batches), generator=stream(4, 2)).tolist()
    assert [each for epoch in (6, 7, 8) for each in shown(replay, epoch)] == [batches[number] for number in order]


def test_it_depends_on_the_seed_alone() -> None:
    assert shown(replay_of(1), 5) == shown(replay_of(1), 5)
    assert shown(replay_of(1), 5) != shown(replay_of(2), 5)


def test_without_a_pool_the_stored_epochs_repeat() -> None:
    assert shown(replay_of(pooled=False), STORED + 1) == shown(replay_of(pooled=False), 1)
