"""Rows under the same conditions beside each other: which are level with the highest, and how far from random images.

Free of torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from wmdd.evaluation.differences import Difference, difference
from wmdd.evaluation.protocols import is_pool
from wmdd.evaluation.rows import BASELINE, Conditions, Row, Scores, summarise


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Comparable rows."""

    conditions: Conditions
    rows: tuple[Row, ...]
    """Random images after the others, then pools of real images."""

    @property
    def baseline(self) -> Row | None:
        """Random real images under the same conditions."""
        return next((row for row in self.rows if row.set == BASELINE), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A row against random images, or against any other row of its block."""

    row: Row
    baseline: Row | None

    @property
    def difference(self) -> Difference | None:
        """How far the row is above the baseline; None without one."""
        return None if self.baseline is None else difference(self.row.sets, self.baseline.sets)


def blocks(scores: Scores, tested: int | None = None) -> list[Block]:
    """Return blocks of comparable rows in stored order, with those marked that are level with the highest."""
    groups: dict[Conditions, list[Row]] = {}
    for row in summarise(scores, tested):
        groups.setdefault(row.conditions, []).append(row)
    return [Block(conditions=conditions, rows=_marked(rows)) for conditions, rows in groups.items()]


def comparisons(blocks_of_run: Sequence[Block], method: object) -> list[Comparison]:
    """Return a method's rows against random images, one for each block where it was evaluated; none if it is random.

    If the method was not evaluated, those of the first that was; pools of real images are no method's.
    """
    if method == BASELINE:
        return []
    pairs = [Comparison(row=row, baseline=block.baseline) for block in blocks_of_run for row in block.rows]
    names = dict.fromkeys(pair.row.set for pair in pairs if pair.row.set != BASELINE and not is_pool(pair.row.set))
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
    return tuple(sorted(marked, key=lambda row: (is_pool(row.set), row.set == BASELINE)))


def _level(row: Row, top: Row) -> bool:
    if row.mean == top.mean:
        return True
    apart = difference(top.sets, row.sets)
    return apart.interval is not None and apart.sign == 0
