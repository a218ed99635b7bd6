"""What the data-set card tells of the students. Provisional: see `wmdd.evaluation.comparison`."""

from collections.abc import Iterable, Mapping
from statistics import fmean, stdev
from typing import Any


def result_rows(evaluations: Iterable[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Return the card's rows of accuracies: mean ± sample deviation over students that differ in seed alone.

    Provisional: to be replaced by the comparison of scores in `wmdd.evaluation`.
    """
    found: dict[tuple[str, ...], list[float]] = {}
    for row in evaluations:
        key = tuple(str(row[name]) for name in ("set", "ipc", "student", "protocol", "labels"))
        found.setdefault(key, []).append(float(row["top1"]))
    return [(*key, _spread(values), str(len(values))) for key, values in found.items()]


def _spread(values: list[float]) -> str:
    return f"{fmean(values):.1f} ± {stdev(values):.1f}" if len(values) > 1 else f"{values[0]:.1f}"
