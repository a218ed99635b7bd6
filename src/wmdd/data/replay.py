"""The order in which stored labels are replayed.

A first round shows the stored epochs as they are. Where students have more epochs than are stored
(`SoftLabels.pooled`), every later round shows all batches of all stored epochs in one random order, a stored batch
once, cut into epochs of as many batches. So batches stay whole, with their CutMix partners, and each is replayed
equally often, give or take one.
LPLD and LPQLD (arXiv:2604.18135) draw the batches of each epoch apart, from all stored ones.
"""

from collections.abc import Callable, Iterator

import torch

from wmdd.data.loading import batch_spans
from wmdd.mapped import taken
from wmdd.values import EpochLabels, SoftLabels


class Replay:
    """Stored labels, batch by batch and epoch by epoch, without end."""

    def __init__(self, labels: SoftLabels, batch: int, generator: Callable[[int], torch.Generator]) -> None:
        """Replay `labels` in batches of `batch`; `generator` gives the random stream of a round, counted from 1."""
        self._labels, self._batch, self._generator = labels, batch, generator
        self._kept: dict[int, EpochLabels] = {}

    def batches(self, epoch: int) -> Iterator[EpochLabels]:
        """Yield the batches of an epoch, counted from 0."""
        count = len(self._labels.epochs)
        turn, at = divmod(epoch, count)
        if turn == 0 or not self._labels.pooled:
            whole = self._labels.epochs[at]
            for span in batch_spans(len(whole.views), self._batch):
                yield _rows(whole, span)
            return
        spans = batch_spans(len(self._labels.plain), self._batch)
        order = torch.randperm(count * len(spans), generator=self._generator(turn)).tolist()
        for chosen in order[at * len(spans) : (at + 1) * len(spans)]:
            stored, number = divmod(chosen, len(spans))
            yield _rows(self._epoch(stored), spans[number])

    def _epoch(self, number: int) -> EpochLabels:
        """Return a stored epoch; of all, the views are kept in memory, and the answers where they are mapped from."""
        if number not in self._kept:
            self._kept[number] = self._labels.epochs[number]
        return self._kept[number]


def _rows(epoch: EpochLabels, span: slice) -> EpochLabels:
    """Return some rows of an epoch; of answers that are mapped, memory holds these rows alone."""
    return EpochLabels.of(
        {name: taken(values, span) for name, values in epoch.answers().items()},
        epoch.views.rows(span.start, span.stop),
    )
