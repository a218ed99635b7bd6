"""Rows under the same conditions beside each other: which are level with the highest, how far from random images.

And what each set is worth beside real images: its share of the gap between floor and ceiling, and its exchange rate.
Free of torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from wmdd.evaluation.differences import Difference, difference
from wmdd.evaluation.exchange import ExchangeRate, exchange_rate
from wmdd.evaluation.gap import GapShare, gap_share
from wmdd.evaluation.real_names import CEILING_SET, is_pool, pool_multiple
from wmdd.evaluation.rows import BASELINE, Conditions, Row, Scores, grouped, summarise


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """What a set is worth beside real images under the same conditions."""

    share: GapShare | None
    """Share of the gap between floor and ceiling; None where one of them was not evaluated."""
    rate: ExchangeRate | None
    """Random real images that one of its images is worth; None where fewer than two numbers of them were evaluated."""

    @property
    def share_text(self) -> str:
        """`0.24 (0.10 to 0.38)`, or `–` where the share is not known."""
        return "–" if self.share is None else self.share.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Comparable rows."""

    conditions: Conditions
    rows: tuple[Row, ...]
    """Random images after the others, then pools of real images by their size."""
    worths: Mapping[str, Worth] = field(default_factory=dict[str, Worth])
    """What the sets are worth, by name; references are not among them."""

    @property
    def baseline(self) -> Row | None:
        """Random real images under the same conditions: the floor."""
        return next((row for row in self.rows if row.set == BASELINE), None)

    @property
    def ceiling(self) -> Row | None:
        """All real images under the same conditions."""
        return next((row for row in self.rows if row.set == CEILING_SET), None)

    @property
    def curve(self) -> dict[float, Row]:
        """Random real images by their number as a multiple of the set's, in rising order."""
        return {multiple: row for row in self.rows if (multiple := multiple_of(row.set)) is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A row against random images, or against any other row of its block."""

    row: Row
    block: Block
    """The rows under the same conditions."""

    @property
    def baseline(self) -> Row | None:
        """Random images under the same conditions; None if they were not evaluated."""
        return self.block.baseline

    @property
    def worth(self) -> Worth | None:
        """What the row is worth beside real images; None for references."""
        return self.block.worths.get(self.row.set)

    @property
    def difference(self) -> Difference | None:
        """How far the row is above the baseline; None without one."""
        return None if self.baseline is None else difference(self.row.sets, self.baseline.sets)


def is_reference(name: str) -> bool:
    """Return whether a set is one that others are held against: random images, or a pool of real ones."""
    return name == BASELINE or is_pool(name)


def multiple_of(name: str) -> float | None:
    """Return how many times as many random real images as a set has are in the set `name`; None if it is another."""
    return 1.0 if name == BASELINE else pool_multiple(name)


def blocks(scores: Scores, tested: int | None = None) -> list[Block]:
    """Return blocks of comparable rows in stored order, with those marked that are level with the highest."""
    given = list(scores)
    groups: dict[Conditions, list[Row]] = {}
    for row in summarise(given, tested):
        groups.setdefault(row.conditions, []).append(row)
    scores_of: dict[Conditions, dict[str, Scores]] = {}
    for (name, conditions), group in grouped(given).items():
        scores_of.setdefault(conditions, {})[name] = group
    return [
        Block(conditions=conditions, rows=_marked(rows), worths=_worths(scores_of[conditions]))
        for conditions, rows in groups.items()
    ]


def comparisons(blocks_of_run: Sequence[Block], method: object) -> list[Comparison]:
    """Return a method's rows against random images, one for each block where it was evaluated; none if it is random.

    If the method was not evaluated, those of the first that was; pools of real images are no method's.
    """
    if method == BASELINE:
        return []
    pairs = [Comparison(row=row, block=block) for block in blocks_of_run for row in block.rows]
    names = dict.fromkeys(pair.row.set for pair in pairs if not is_reference(pair.row.set))
    name = method if method in names else next(iter(names), None)
    return [pair for pair in pairs if pair.row.set == name]


def _marked(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Mark the highest row, and those whose difference to it has an interval that contains 0.

    A row whose error is not known is not marked beside a higher one: nothing says that they are level. Pools of more
    real images than a set has are no rivals: they are never marked.
    """
    sets = [row for row in rows if not is_pool(row.set)]
    top = max(sets, key=lambda row: row.mean, default=None)
    marked = [row if top is None or is_pool(row.set) else replace(row, level=_level(row, top)) for row in rows]
    return tuple(sorted(marked, key=lambda row: _place(row.set)))


def _place(name: str) -> tuple[float, ...]:
    """Return where a set stands in its block: after all others random images, pools by size, all real images."""
    if name == CEILING_SET:
        return (2, 0)
    multiple = multiple_of(name)
    return (0, 0) if multiple is None else (1, 0 if name == BASELINE else multiple)


def _worths(scores_of: Mapping[str, Scores]) -> dict[str, Worth]:
    """Return what each set is worth that is no reference, given the scores of all sets under the same conditions."""
    floor, ceiling = scores_of.get(BASELINE), scores_of.get(CEILING_SET)
    multiples = {name: multiple for name in scores_of if (multiple := multiple_of(name)) is not None}
    # Random images of a run's own come last, since a pool of as many holds the same.
    random = {multiples[name]: scores_of[name] for name in sorted(multiples, key=lambda name: name == BASELINE)}
    return {
        name: Worth(
            share=gap_share(scores, floor, ceiling) if floor and ceiling else None,
            rate=exchange_rate(scores, random) if len(random) > 1 else None,
        )
        for name, scores in scores_of.items()
        if not is_reference(name)
    }


def _level(row: Row, top: Row) -> bool:
    if row.mean == top.mean:
        return True
    apart = difference(top.sets, row.sets)
    return apart.interval is not None and apart.sign == 0
