"""Who survives a rung: known answers on made-up accuracies."""

from statistics import stdev

import pytest
from benchmarks.search.halving import RUNGS, error_of_difference, survivors

EXACT = (0.0, 0.0)
"""Two blocks that agree on everything: no noise."""


def table(**means: float) -> dict[str, list[float]]:
    return {name: [mean + block for block in EXACT] for name, mean in means.items()}


def test_the_best_go_on() -> None:
    assert survivors([table(a=1, b=4, c=2, d=3)], 2) == ("b", "d")


def test_kinds_of_labels_take_turns() -> None:
    soft, hard = table(a=9, b=8, c=7, d=0, e=1), table(a=0, b=1, c=2, d=9, e=8)
    assert survivors([soft, hard], 2) == ("a", "d")
    assert survivors([soft, hard], 3) == ("a", "d", "b")
    assert survivors([soft, hard], 5) == ("a", "d", "b", "e", "c")


def test_one_that_is_best_in_both_counts_once() -> None:
    soft, hard = table(a=9, b=8, c=1), table(a=9, c=8, b=1)
    assert set(survivors([soft, hard], 3)) == {"a", "b", "c"}
    assert survivors([soft, hard], 2) == ("a", "b")


def test_ties_within_the_noise_stay() -> None:
    # Blocks disagree by ±1, so that a difference of two means has the standard error 1.15.
    noisy = {"a": [11, 9], "b": [9, 11], "c": [8, 10], "d": [6, 4]}
    assert survivors([noisy], 1) == ("a", "b", "c")
    assert survivors([noisy], 4) == ("a", "b", "c", "d")


def test_what_was_not_measured_is_not_ranked() -> None:
    assert survivors([table(a=1, b=2), {}], 2) == ("b", "a")
    assert survivors([{}, {}], 3) == ()
    assert survivors([], 3) == ()


def test_of_two_variants_the_error_is_that_of_paired_differences() -> None:
    first, second = [60.1, 58.3, 40.2, 41.0], [61.9, 58.1, 39.0, 43.5]
    paired = stdev(a - b for a, b in zip(first, second, strict=True)) / 2
    assert error_of_difference({"a": first, "b": second}) == pytest.approx(paired)


def test_effects_that_add_up_leave_no_error() -> None:
    assert error_of_difference({name: [own + 10, own + 20, own + 60] for name, own in (("a", 1.0), ("b", 7.0))}) == 0


@pytest.mark.parametrize("alone", [{"a": [1.0, 2.0]}, {"a": [1.0], "b": [2.0]}])
def test_nothing_is_known_of_one_variant_or_one_block(alone: dict[str, list[float]]) -> None:
    assert error_of_difference(alone) == 0


def test_rungs_spend_more_on_fewer() -> None:
    assert [rung.number for rung in RUNGS] == [1, 2, 3]
    for low, high in zip(RUNGS, RUNGS[1:], strict=False):
        assert low.share > high.share
        assert low.sets < high.sets
        assert low.students <= high.students
    assert (RUNGS[-1].sets, RUNGS[-1].students) == (3, 3)
