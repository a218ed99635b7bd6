"""Known answers of the one aggregation that serves runs and benches."""

import math
from statistics import stdev
from typing import Any

import pytest
from seeded import seeded

from wmdd.evaluation.rows import Row, number, sets_of, summarise


def row_of(*sets: list[float], images: str | None = None) -> Row:
    (row,) = summarise(seeded(*sets, images=images))
    return row


@pytest.mark.parametrize("value", [None, "3", True, math.nan, math.inf, [1]])
def test_number_refuses_what_is_no_finite_number(value: object) -> None:
    assert number(value) is None


def test_number_takes_integers_and_floats() -> None:
    assert (number(3), number(2.5)) == (3.0, 2.5)


def test_the_spread_is_that_between_the_means_of_the_sets() -> None:
    row = row_of([60.0, 62.0], [64.0, 66.0], [65.0, 69.0])
    assert (row.mean, row.n) == (193 / 3, 6)
    assert row.spread == pytest.approx(stdev([61.0, 65.0, 67.0]))
    assert (row.text, row.words) == ("64.3 ± 3.1 (3 × 2)", "64.3 ± 3.1 % (3 sets of 2 students)")


def test_the_spread_of_one_set_is_that_of_its_students() -> None:
    row = row_of([77.0, 79.0])
    assert (row.mean, row.spread) == (78.0, pytest.approx(2**0.5))
    assert (row.text, row.words) == ("78.0 ± 1.4 (1 × 2)", "78.0 ± 1.4 % (one set of 2 students)")


def test_one_student_has_no_spread() -> None:
    row = row_of([77.0])
    assert (row.spread, row.text, row.words) == (None, "77.0 (1 × 1)", "77.0 % (one set of 1 student)")


def test_sets_of_several_sizes_count_alike() -> None:
    row = row_of([50.0, 52.0, 54.0], [60.0, 60.0], [58.0])
    assert row.mean == 170 / 3
    assert row.spread == pytest.approx(stdev([52.0, 60.0, 58.0]))
    assert row.counts == "3 × 1–3"


def test_equal_images_are_one_set_whatever_seed_made_them() -> None:
    fixed = row_of([60.0, 62.0], [61.0, 63.0], [64.0, 62.0], images="aaa")
    assert (fixed.counts, fixed.mean) == ("1 × 6", 62.0)
    assert fixed.spread == pytest.approx(stdev([60, 62, 61, 63, 64, 62]))
    assert row_of([60.0, 62.0], [61.0, 63.0], [64.0, 62.0], images="aba").counts == "2 × 2–4"


def test_scores_without_a_digest_join_those_of_their_seed() -> None:
    old, new = seeded([60.0, 61.0], [70.0]), seeded([60.0], [70.0], images="ab")
    new = [{**score, "seed": 5} for score in new]
    assert [len(students) for students in sets_of([*old, *new])] == [3, 2]


def test_a_student_evaluated_twice_counts_once_and_broken_scores_not_at_all() -> None:
    entries = [*seeded([10.0]), *seeded([20.0]), *seeded([math.nan, math.nan])]
    (row,) = summarise(entries)
    assert (row.n, row.mean) == (1, 20.0)


@pytest.mark.parametrize(
    "changes", [{"student": "vit"}, {"protocol": "rded"}, {"labels": "hard"}, {"ipc": 50}, {"set": "dm"}]
)
def test_other_conditions_are_other_rows(changes: dict[str, Any]) -> None:
    assert [row.mean for row in summarise([*seeded([1.0]), *seeded([2.0], **changes)])] == [1.0, 2.0]


def test_top5_and_best_are_means_over_students_and_missing_columns_are_unknown() -> None:
    entries = seeded([1.0, 2.0], top5=97.25, top1_best=5.0)
    entries[1]["top5"] = 99.25
    (row,) = summarise(entries)
    assert (row.top5, row.best) == (98.25, 5.0)
    (bare,) = summarise([{"set": "wmdd", "top1": 5}])
    assert (bare.top5, bare.best, bare.student) == (None, None, "")
