"""Differences agree with scipy's tests of Student and Welch, and know what they do not know."""

import math

import numpy as np
import pytest
from scipy import stats
from seeded import seeded

from wmdd.evaluation.differences import difference, paired_sets, satterthwaite, signed, t_quantile
from wmdd.evaluation.rows import sets_of

ONE = ([60.0, 61.0, 62.0], [62.0, 62.5, 63.0], [59.0, 60.0, 61.5])
OTHER = ([57.0, 58.5, 59.0], [60.0, 60.0, 60.5], [58.0, 58.0, 57.5])


def test_pairs_of_sets_are_students_paired_t_test_of_their_means() -> None:
    found = difference(sets_of(seeded(*ONE)), sets_of(seeded(*OTHER)))
    oracle = stats.ttest_rel(np.mean(ONE, 1), np.mean(OTHER, 1))
    interval = oracle.confidence_interval(0.95)
    assert (found.paired, found.sets, found.n, found.freedom) == (True, 3, 3, 2)
    assert found.interval == pytest.approx((interval.low, interval.high))
    assert found.error == pytest.approx(found.value / oracle.statistic)
    assert found.sign == (oracle.pvalue < 0.05)


def test_a_single_pair_of_sets_is_paired_over_students_and_says_so() -> None:
    found = difference(sets_of(seeded(ONE[0])), sets_of(seeded(OTHER[0])))
    interval = stats.ttest_rel(ONE[0], OTHER[0]).confidence_interval(0.95)
    assert found.interval == pytest.approx((interval.low, interval.high))
    assert (found.sets, found.n) == (1, 3)
    assert "3 pairs of students, for this one set only" in found.text


def test_without_common_seeds_it_is_welchs_test() -> None:
    other = [{**score, "distill_seed": score["distill_seed"] + 7} for score in seeded(*OTHER)]
    found = difference(sets_of(seeded(*ONE)), sets_of(other))
    oracle = stats.ttest_ind(np.mean(ONE, 1), np.mean(OTHER, 1), equal_var=False)
    interval = oracle.confidence_interval(0.95)
    assert (found.paired, found.sets) == (False, 3)
    assert found.freedom == pytest.approx(oracle.df)
    assert found.interval == pytest.approx((interval.low, interval.high))
    assert "3 sets, not paired" in found.text
    singles = difference(sets_of(seeded(ONE[0])), sets_of([s for s in other if s["distill_seed"] == 7]))
    assert singles.freedom == pytest.approx(stats.ttest_ind(ONE[0], OTHER[0], equal_var=False).df)


def test_welch_over_sets_is_preferred_to_students_of_the_only_common_set() -> None:
    other = [{**score, "distill_seed": score["distill_seed"] + 2} for score in seeded(*OTHER)]
    assert not difference(sets_of(seeded(*ONE)), sets_of(other)).paired


@pytest.mark.parametrize(
    ("one", "other"), [([[60.0]], [[50.0]]), ([[60.0]], [[50.0, 51.0]]), ([[60.0], [61.0]], [[50.0]])]
)
def test_an_unknown_spread_is_not_zero(one: list[list[float]], other: list[list[float]]) -> None:
    found = difference(sets_of(seeded(*one)), sets_of(seeded(*other)))
    assert (found.error, found.interval, found.sign) == (None, None, 0)
    assert "no error known" in found.text


def test_only_common_seeds_are_compared() -> None:
    found = difference(sets_of(seeded([60.0, 70.0], [62.0, 72.0], [99.0])), sets_of(seeded([50.0], [53.0])))
    assert found.value == 9.5  # (60 - 50 + 62 - 53) / 2


def test_a_method_without_randomness_meets_each_random_draw_once_and_another_such_method_once_in_all() -> None:
    fixed = sets_of(seeded(*ONE, images="aaa"))
    assert (len(fixed), len(fixed[0])) == (1, 9)
    against = difference(fixed, sets_of(seeded(*OTHER, images="xyz")))
    assert (against.sets, against.n, against.freedom) == (3, 3, 2)
    both = difference(fixed, sets_of(seeded(*OTHER, images="bbb")))
    interval = stats.ttest_rel(np.ravel(ONE), np.ravel(OTHER)).confidence_interval(0.95)
    assert (both.sets, both.n) == (1, 9)
    assert both.interval == pytest.approx((interval.low, interval.high))


def test_seeds_by_which_the_same_sets_meet_are_one_combination() -> None:
    halves = sets_of(seeded([1.0], [3.0], [10.0], images="aab")), sets_of(seeded([0.0], [0.0], [0.0], images="ccd"))
    assert paired_sets(*halves) == [(2.0, 0.0), (10.0, 0.0)]


def test_equal_pairs_have_no_error_and_a_known_one() -> None:
    found = difference(sets_of(seeded([60.0], [61.0])), sets_of(seeded([50.0], [51.0])))
    assert (found.error, found.interval, found.sign) == (0.0, (10.0, 10.0), 1)


def test_sign_and_text() -> None:
    lower = difference(sets_of(seeded([50.0], [51.0], [49.5])), sets_of(seeded([60.0], [61.5], [60.0])))
    assert lower.sign == -1
    assert lower.text.startswith("−10.3 ± 0.2, 95 % interval −11.1 to −9.6 (3 pairs of sets)")
    assert difference(sets_of(seeded(*ONE)), sets_of(seeded(*ONE))).sign == 0
    assert [signed(value) for value in (0.04, -0.04, 1.25, -1.35)] == ["0.0", "0.0", "+1.2", "−1.4"]


@pytest.mark.parametrize("freedom", [1, 2, 2.7, 8, 1e6])
def test_quantiles_are_those_of_students_t(freedom: float) -> None:
    assert t_quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom))


def test_satterthwaite_at_its_ends() -> None:
    assert satterthwaite([(2.0, 3.0), (2.0, 3.0)]) == pytest.approx(6)
    assert satterthwaite([(2.0, 3.0), (0.0, 1.0)]) == pytest.approx(3)
    assert satterthwaite([(0.0, 3.0), (0.0, 1.0)]) == 1
    assert math.isclose(satterthwaite([(1e-300, 3.0), (1e-300, 3.0)]), 6)


def test_nothing_is_no_group() -> None:
    with pytest.raises(ValueError, match="data point"):
        difference((), sets_of(seeded(*ONE)))
