"""Which rows are level with the highest, and a method beside random images wherever it was evaluated."""

from typing import Any

from seeded import seeded

from wmdd.evaluation.comparison import blocks, comparisons
from wmdd.evaluation.rows import Row, summarise


def scores(**sets: tuple[float, ...]) -> list[dict[str, Any]]:
    """Return the scores of one set of each name, with one student for each accuracy."""
    return [score for of, students in sets.items() for score in seeded(students, set=of)]


def rows_of(entries: list[dict[str, Any]]) -> list[Row]:
    return [row for block in blocks(entries) for row in block.rows]


def level(entries: list[dict[str, Any]]) -> set[str]:
    return {row.set for row in rows_of(entries) if row.level}


def test_rows_are_level_with_the_highest_if_the_interval_of_the_paired_difference_contains_0() -> None:
    three = scores(dm=(60.0, 62.0, 64.0), dc=(59.9, 61.7, 64.2), random=(59.0, 61.1, 62.9))
    assert level(three) == {"dm", "dc"}  # dm - random = 1.0, 0.9, 1.1, far narrower than the spread of either


def test_what_has_no_known_error_is_not_level_with_a_higher_row() -> None:
    assert level(scores(dm=(60.0,), dc=(59.9,), random=(50.0,))) == {"dm"}


def test_rows_of_equal_mean_are_both_the_highest() -> None:
    assert level(scores(dm=(61.0,), dc=(61.0,), random=(50.0,))) == {"dm", "dc"}


def test_random_images_are_the_last_row_and_may_be_the_highest() -> None:
    entries = scores(random=(60.0, 61.0, 60.5), dm=(50.0, 51.1, 50.4))
    assert [row.set for row in rows_of(entries)] == ["dm", "random"]
    assert level(entries) == {"random"}


def test_summaries_keep_the_stored_order() -> None:
    assert [row.set for row in summarise(scores(random=(1.0,), wmdd=(2.0,)))] == ["random", "wmdd"]


def test_a_method_is_compared_with_random_images_wherever_it_was_evaluated() -> None:
    entries = [*scores(random=(50.0, 52.0), dm=(60.0, 62.1), dc=(49.0, 51.0)), *seeded([9.0], set="dm", student="vit")]
    pairs = comparisons(blocks(entries), "dm")
    assert [pair.row.student for pair in pairs] == ["resnet18", "vit"]
    assert pairs[0].difference is not None
    assert pairs[0].difference.sign == 1
    assert pairs[1].difference is None
    assert [pair.row.set for pair in comparisons(blocks(entries), "unknown")] == ["dm", "dm"]
    assert comparisons(blocks(scores(random=(1.0,))), "random") == []
