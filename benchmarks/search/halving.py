"""Successive halving: which variants go on to the next rung.

Accuracies of variants under one kind of labels are a table, variant × block, where a block is what all variants have in
common: number of images per class, student, protocol, seed of distillation. What a variant is worth is its mean over
the blocks. How well differences of these means are known follows from the additive model

    accuracy = variant + block + residual,

the usual one of randomised blocks: with V variants, B blocks and residuals of mean square
s² = Σ residual² / ((V - 1) (B - 1)), a difference has the standard error s √(2 / B). It holds for a single set and a
single student too, where a variant alone has no error; that some variants suit some blocks better counts as noise.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from statistics import fmean

Table = Mapping[str, Sequence[float]]
"""Variant → its accuracy in each block, in per cent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """How much is spent on each variant that has come so far."""

    number: int
    share: float
    """Of all variants, that which may take part, apart from ties."""
    sets: int
    """Seeds of distillation."""
    students: int
    """Seeds of students, of each set, student and protocol."""
    epochs: int | None
    """Epochs of each student; None = the base recipe's, that is, the protocol's own."""
    ipcs: tuple[int, ...] = (10, 1)
    """Images per class."""


RUNGS = (
    Rung(number=1, share=1, sets=1, students=1, epochs=300),
    Rung(number=2, share=1 / 2, sets=2, students=3, epochs=None),
    Rung(number=3, share=1 / 4, sets=3, students=3, epochs=None),
)
"""The last two have equally many students, so that the last one finds those of two sets in the store: students of one
set are one result. Two students in the second would cost more, since all would be trained again in the third."""


def survivors(tables: Sequence[Table], quota: int) -> tuple[str, ...]:
    """Return the variants that go on, the best ones first.

    The rankings, one of each kind of labels, take turns to send their best variant that has not been sent, until
    `quota` are: what is good under one kind need not be under the other. Then each ranking adds its ties: variants
    that are behind the last one that it has sent by at most one standard error.

    Args:
        tables: one for each kind of labels; a variant that is missing in one is not ranked there.
        quota: number of variants without ties; at least one of each ranking is sent.
    """
    tables = [table for table in tables if table]
    means = [{name: fmean(values) for name, values in table.items()} for table in tables]
    rankings = [sorted(table, key=table.__getitem__, reverse=True) for table in means]
    sent = list(dict.fromkeys(chain.from_iterable(zip_longest(*rankings))))
    chosen = dict.fromkeys([name for name in sent if name is not None][: max(quota, len(rankings))])
    ties: dict[str, None] = {}
    for table, mean, ranking in zip(tables, means, rankings, strict=True):
        last = _last_sent(ranking, chosen)
        ties |= dict.fromkeys(name for name in ranking if mean[name] >= mean[last] - error_of_difference(table))
    return tuple(chosen | ties)


def _last_sent(ranking: Sequence[str], chosen: Mapping[str, None]) -> str:
    """Return the last variant of the unbroken row of chosen ones with which a ranking begins."""
    behind = next((place for place, name in enumerate(ranking) if name not in chosen), len(ranking))
    return ranking[max(behind, 1) - 1]


def error_of_difference(table: Table) -> float:
    """Return the standard error of a difference between two variants' means; 0 where nothing tells it."""
    rows = list(table.values())
    variants, blocks = len(rows), len(rows[0])
    if variants < 2 or blocks < 2:
        return 0.0
    own, common = [fmean(row) for row in rows], [fmean(column) for column in zip(*rows, strict=True)]
    grand = fmean(own)
    squares = sum(
        (value - mine - theirs + grand) ** 2
        for row, mine in zip(rows, own, strict=True)
        for value, theirs in zip(row, common, strict=True)
    )
    return math.sqrt(2 * squares / ((variants - 1) * (blocks - 1)) / blocks)
