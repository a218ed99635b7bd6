"""From the diagnosis in `metrics.json` to a table and a plot of the distance between distilled and real images."""

import unicodedata
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from wmdd.evaluation.rows import BASELINE, number
from wmdd.methods.catalogue import title_of
from wmdd.report.collect import POINTS, Plot, Series, baseline_last
from wmdd.report.templates import ABSENT

NAMED = 12
"""With up to this many classes, each is named on the axis."""
_LONGEST = 14
"""Width of a class name on the axis in Latin letters; Chinese characters and emoji are two wide."""
_FIGURES = (
    "cost",
    "kmeans_cost",
    "random_cost",
    "distance",
    "uniform",
    "head_gap",
    "head_bound",
    "loss_gap",
    "loss_bound",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureDistances:
    """One set's figures, means over the classes; None if not measured."""

    set: str
    cost: float | None
    kmeans_cost: float | None
    random_cost: float | None
    distance: float | None
    uniform: float | None
    """Share of the classes whose images all have the same weight."""
    head_gap: float | None
    head_bound: float | None
    loss_gap: float | None
    loss_bound: float | None

    @property
    def ratio(self) -> float | None:
        """Mean cost in units of that of k-means; None where that is zero."""
        return self.cost / self.kmeans_cost if self.cost is not None and self.kmeans_cost else None


def feature_distances(diagnosis: Mapping[str, Any]) -> list[FeatureDistances]:
    """Return one row per set, random images last."""
    return [
        FeatureDistances(set=name, **{figure: number((of_set.get("mean") or {}).get(figure)) for figure in _FIGURES})
        for name, of_set in baseline_last(diagnosis)
    ]


def class_costs(diagnosis: Mapping[str, Any], classes: Sequence[str]) -> Plot | None:
    """Return the cost of every class, from that which k-means sums up best to the worst, or None without a diagnosis.

    Every set is one line; k-means and random picks, the same for all sets, are read from the first.
    """
    sets = [(name, of_set.get("classes") or {}) for name, of_set in baseline_last(diagnosis)]
    first = sets[0][1] if sets else {}
    centres = _numbers(first, "kmeans_cost")
    if len(centres) < 2:
        return None
    ranked = sorted(range(len(centres)), key=lambda label: centres[label])
    order = {rank: ranked[rank] for rank in range(0, len(ranked), -(-len(ranked) // POINTS))}
    named = len(order) <= NAMED
    lines = [_line(title_of(name), order, _numbers(each, "cost"), baseline=name == BASELINE) for name, each in sets]
    spreads, picks = _numbers(first, "random_std"), _numbers(first, "random_cost")
    return Plot(
        key="diagnosis",
        title="Cost of every class",
        note="W2² to the real features. Classes are in the order of the cost of k-means.",
        x_label="class" if named else "rank of the class by the cost of k-means",
        y_label="W2²",
        series=(
            *lines,
            _line("random picks, mean and deviation", order, picks, spreads),
            _line("k-means", order, centres),
        ),
        tick_labels=tuple(_short(classes, label) for label in order.values()) if named else (),
    )


def percent(share: float | None) -> str:
    """Return a share in whole per cent; a dash if it is unknown."""
    return ABSENT if share is None else f"{100 * share:.0f} %"


def three_digits(value: float | None) -> str:
    """Return three digits of a figure whose scale depends on the teacher; a dash if it is unknown."""
    if value is None:
        return ABSENT
    return f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:#.3g}".rstrip(".")


def _numbers(of_classes: Mapping[str, Any], name: str) -> list[float]:
    return [float(value) for value in of_classes.get(name) or ()]


def _line(
    name: str,
    order: Mapping[int, int],
    values: Sequence[float],
    spreads: Sequence[float] = (),
    *,
    baseline: bool = False,
) -> Series:
    return Series(
        name=name,
        x=tuple(map(float, order)),
        y=tuple(values[label] for label in order.values()),
        low=tuple(values[label] - spreads[label] for label in order.values() if spreads),
        high=tuple(values[label] + spreads[label] for label in order.values() if spreads),
        baseline=baseline,
    )


def _short(classes: Sequence[str], label: int) -> str:
    name = str(classes[label]) if label < len(classes) else f"{label}"
    drawn = "".join("\ufffd" if unicodedata.category(letter) in {"Cc", "Cs"} else letter for letter in name)
    ends = [*accumulate(1 + (unicodedata.east_asian_width(letter) in {"W", "F"}) for letter in drawn)]
    if not ends or ends[-1] <= _LONGEST:
        return drawn
    return f"{drawn[: bisect_right(ends, _LONGEST - 1)]}…"
