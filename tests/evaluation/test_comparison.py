"""Known answers of the one aggregation that serves runs and benches."""

import math
from statistics import stdev
from typing import Any

import pytest

from wmdd.evaluation.comparison import blocks, comparisons
from wmdd.evaluation.rows import Row, number, plus_minus, summarise


def score(of: str, seed: int, top1: float, **changes: Any) -> dict[str, Any]:
    names = {"set": of, "ipc": 2, "student": "resnet18", "protocol": "wmdd", "labels": "soft", "seed": seed}
    return {**names, "top1": top1, "top5": 97.25, "top1_best": top1 + 0.5, **changes}


def scores(**sets: tuple[float, ...]) -> list[dict[str, Any]]:
    return [score(of, i, v) for of, values in sets.items() for i, v in enumerate(values)]


def rows_of(entries: list[dict[str, Any]]) -> list[Row]:
    return [row for block in blocks(entries) for row in block.rows]


@pytest.mark.parametrize("value", [None, "3", True, math.nan, math.inf, [1]])
def test_number_refuses_what_is_no_finite_number(value: object) -> None:
    assert number(value) is None


def test_number_takes_integers_and_floats() -> None:
    assert (number(3), number(2.5)) == (3.0, 2.5)


def test_mean_and_sample_deviation() -> None:
    wmdd, random = rows_of(scores(random=(61.0, 63.0, 65.0), wmdd=(77.0, 79.0)))
    assert (wmdd.set, wmdd.n, wmdd.mean) == ("wmdd", 2, 78.0)
    assert wmdd.std == pytest.approx(2**0.5)
    assert (random.set, random.n, random.mean, random.std) == ("random", 3, 63.0, 2.0)
    assert (wmdd.top5, wmdd.best) == (97.25, 78.5)


def test_one_seed_has_no_deviation_and_never_wins() -> None:
    wmdd, random = rows_of(scores(wmdd=(90.0,), random=(10.0, 11.0)))
    assert wmdd.std is None
    assert not wmdd.ahead
    assert not random.ahead


def test_ahead_only_beyond_the_sum_of_both_deviations() -> None:
    assert rows_of(scores(wmdd=(69.0, 71.0), random=(66.0, 68.0)))[0].ahead  # gap 3 > 2.83
    assert not rows_of(scores(wmdd=(69.0, 71.0), random=(66.5, 68.5)))[0].ahead  # gap 2.5 < 2.83


def test_random_can_be_ahead() -> None:
    assert rows_of(scores(wmdd=(50.0, 51.0), random=(60.0, 61.0)))[1].ahead


def test_a_seed_evaluated_twice_counts_once_and_broken_scores_not_at_all() -> None:
    entries = [score("wmdd", 0, 10.0), score("wmdd", 0, 20.0), score("wmdd", 1, float("nan"))]
    (row,) = rows_of(entries)
    assert (row.n, row.mean) == (1, 20.0)


def test_groups_do_not_mix() -> None:
    entries = [score("wmdd", 0, 1.0), score("wmdd", 0, 2.0, student="vit"), score("wmdd", 0, 3.0, protocol="rded"),
               score("wmdd", 0, 4.0, labels="hard"), score("wmdd", 0, 5.0, ipc=50)]  # fmt: skip
    assert [row.mean for row in rows_of(entries)] == [1, 2, 3, 4, 5]


def test_missing_columns_are_unknown() -> None:
    (row,) = rows_of([{"set": "wmdd", "top1": 5}])
    assert (row.top5, row.best, row.student) == (None, None, "")


def test_spreads_within_and_between_sets_are_told_apart() -> None:
    sets = ((60.0, 62.0), (64.0, 66.0))
    (row,) = summarise(score("dm", i, v, distill_seed=s) for s, values in enumerate(sets) for i, v in enumerate(values))
    assert (row.mean, row.n) == (63.0, 4)
    assert row.std == pytest.approx(stdev([60.0, 62.0]))
    assert row.between == pytest.approx(stdev([61.0, 65.0]))
    assert row.text == "63.0 ± 1.4 (± 2.8)"


def test_sets_of_several_sizes_count_alike_in_the_mean_and_by_their_freedom_in_the_spread() -> None:
    sets = ((50.0, 52.0, 54.0), (60.0, 60.0), (58.0,))
    (row,) = summarise(score("dm", i, v, distill_seed=s) for s, values in enumerate(sets) for i, v in enumerate(values))
    assert row.mean == 56 + 2 / 3
    assert row.std == pytest.approx(((2 * 4.0 + 1 * 0.0) / 3) ** 0.5)


def test_rows_of_equal_mean_are_both_the_highest_and_neither_is_ahead() -> None:
    rows = rows_of(scores(dm=(60.0, 62.0), random=(61.0, 61.0), dc=(50.0, 50.0)))
    assert [(row.set, row.highest, row.ahead) for row in rows] == [
        ("dm", True, False), ("dc", False, False), ("random", True, False)
    ]  # fmt: skip


def test_summaries_keep_the_stored_order() -> None:
    assert [row.set for row in summarise(scores(random=(1.0,), wmdd=(2.0,)))] == ["random", "wmdd"]


def test_a_method_is_compared_with_random_images_wherever_it_was_evaluated() -> None:
    entries = [*scores(random=(50.0, 52.0), dm=(60.0, 62.0), dc=(49.0, 51.0)), score("dm", 0, 9.0, student="vit")]
    pairs = comparisons(blocks(entries), "dm")
    assert [(pair.row.student, pair.gap, pair.winner) for pair in pairs] == [("resnet18", 10.0, 1), ("vit", None, 0)]
    assert [pair.row.set for pair in comparisons(blocks(entries), "unknown")] == ["dm", "dm"]
    assert comparisons(blocks(scores(random=(1.0,))), "random") == []
    (worse,) = comparisons(blocks(scores(random=(50.0, 52.0), dm=(40.0, 42.0))), "dm")
    assert (worse.gap, worse.winner) == (-10.0, -1)


@pytest.mark.parametrize(("std", "text"), [(None, "78.2"), (1.05, "78.2 ± 1.1"), (0.0, "78.2 ± 0.0")])
def test_plus_minus(std: float | None, text: str) -> None:
    assert plus_minus(78.2, std) == text
