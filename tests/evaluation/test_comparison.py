"""Which rows are level with the highest, and a method beside random images wherever it was evaluated."""

from typing import Any

import pytest
from seeded import seeded

from wmdd.evaluation.comparison import blocks, comparisons
from wmdd.evaluation.gap import gap_share
from wmdd.evaluation.real_names import CEILING_SET, pool_multiple
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


def test_each_set_has_its_share_of_the_gap_and_references_have_none() -> None:
    sets: dict[str, list[dict[str, Any]]] = {
        "dm": seeded([62.0], [62.3], [61.6], set="dm"),
        "random": seeded([50.0], [50.4], [49.7], set="random"),
        CEILING_SET: seeded([70.0], [70.2], [69.9], set=CEILING_SET, images=["all"] * 3),
        "alone": seeded([60.0, 61.0], set="alone"),
    }
    (block,) = blocks([score for scores in sets.values() for score in scores])
    assert {*block.worths} == {"dm", "alone"}
    share = block.worths["dm"].share
    assert share == gap_share(sets["dm"], sets["random"], sets[CEILING_SET])
    assert share is not None
    assert share.value == pytest.approx((185.9 - 150.1) / (210.1 - 150.1))
    assert block.worths["dm"].share_text == share.text
    assert block.worths["dm"].rate is None


@pytest.mark.parametrize("missing", ["random", CEILING_SET])
def test_without_a_floor_or_a_ceiling_there_is_no_share(missing: str) -> None:
    entries = scores(**{"dm": (60.0, 62.0), "random": (50.0, 52.0), CEILING_SET: (70.0, 72.5)})
    (block,) = blocks([entry for entry in entries if entry["set"] != missing])
    assert block.worths["dm"].share is None
    assert block.worths["dm"].share_text == "–"


def test_scores_under_other_conditions_are_no_ceiling() -> None:
    entries = [*scores(dm=(60.0, 62.0), random=(50.0, 52.0)), *seeded([70.0, 72.0], set=CEILING_SET, labels="hard")]
    assert all(worth.share is None for block in blocks(entries) for worth in block.worths.values())


def test_pools_of_random_images_are_a_curve_on_which_a_set_has_its_rate() -> None:
    tops = {"random": 50.0, "random ×2": 54.0, "random ×10": 60.0, "random ×3": 55.0}
    entries = [entry for name, top in tops.items() for entry in seeded([top], [top + 0.5], [top - 0.5], set=name)]
    entries += seeded([54.0], [54.5], [53.5], set="dm")
    entries += seeded([65.0], set=CEILING_SET)
    (block,) = blocks(entries)
    assert [row.set for row in block.rows] == ["dm", "random", "random ×2", "random ×3", "random ×10", CEILING_SET]
    assert {multiple: row.mean for multiple, row in block.curve.items()} == {1: 50.0, 2: 54.0, 3: 55.0, 10: 60.0}
    rate = block.worths["dm"].rate
    assert rate is not None
    assert rate.value == pytest.approx(2.0)
    assert {*block.worths} == {"dm"}


def test_a_pool_of_as_many_images_is_not_counted_beside_random_images() -> None:
    entries = [*scores(dm=(54.0, 55.0), random=(50.0, 51.0)), *seeded([80.0, 81.0], set="random ×1")]
    (block,) = blocks(entries)
    assert block.worths["dm"].rate is None  # a curve needs two multiples


@pytest.mark.parametrize(
    "name", ["random ×", "random ×0", "random ×nan", "random ×1e9", "random ×−2", "random ×٣", "random"]
)
def test_what_only_looks_like_a_pool_has_no_multiple(name: str) -> None:
    assert pool_multiple(name) is None
    entries = [*scores(dm=(54.0, 55.0), random=(50.0, 51.0)), *seeded([80.0, 81.0], set=name)]
    assert all(block.worths["dm"].rate is None for block in blocks(entries))
