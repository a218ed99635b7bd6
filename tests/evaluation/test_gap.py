"""Fieller's interval against its closed forms, its defining equation and its coverage in simulation."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats
from seeded import seeded

from wmdd.evaluation.gap import fieller, gap_share

SET = ([60.0, 60.4], [60.6, 61.0], [59.9, 60.3])
FLOOR = ([57.1, 57.9], [58.3, 58.3], [57.6, 58.2])
CEILING = ([66.0, 66.4], [65.5, 66.1], [66.3, 66.7])


def test_uncorrelated_means_give_the_closed_form_of_the_textbook() -> None:
    a, b, s_aa, s_bb, t = 2.4, 8.1, 0.3, 0.5, 2.776
    g = t**2 * s_bb / b**2
    half = t / b * math.sqrt((1 - g) * s_aa + (a / b) ** 2 * s_bb)
    expected = ((a / b - half) / (1 - g), (a / b + half) / (1 - g))
    assert fieller(a, b, variances=(s_aa, s_bb), covariance=0.0, quantile=t) == pytest.approx(expected)


def test_a_denominator_without_error_gives_students_interval() -> None:
    assert fieller(2.0, 8.0, variances=(0.25, 0.0), covariance=0.0, quantile=3.0) == pytest.approx(
        ((2 - 1.5) / 8, (2 + 1.5) / 8)
    )


def test_the_ratio_is_unbounded_where_the_denominator_may_be_zero() -> None:
    assert fieller(2.0, 1.0, variances=(0.1, 0.25), covariance=0.1, quantile=2.0) is None


def test_the_ends_of_triples_are_the_shares_that_a_t_test_just_accepts() -> None:
    found = gap_share(seeded(*SET), seeded(*FLOOR), seeded(*CEILING))
    assert found.interval is not None
    assert found.freedom == 2
    means = [np.mean(group, 1) for group in (SET, FLOOR, CEILING)]
    for share in found.interval:
        assert stats.ttest_1samp(means[0] - (1 - share) * means[1] - share * means[2], 0).pvalue == pytest.approx(0.05)
    assert found.value == pytest.approx((means[0] - means[1]).mean() / (means[2] - means[1]).mean())


def test_a_ceiling_of_one_set_is_independent_of_set_and_floor() -> None:
    ceiling = [66.0, 66.9, 66.2]
    found = gap_share(seeded(*SET), seeded(*FLOOR), seeded(ceiling))
    assert found.interval is not None
    assert 2 < found.freedom < 4
    means = [np.mean(group, 1) for group in (SET, FLOOR)]
    for share in found.interval:
        paired = means[0] - (1 - share) * means[1]
        error = math.sqrt(paired.var(ddof=1) / 3 + share**2 * np.var(ceiling, ddof=1) / 3)
        assert abs(paired.mean() - share * np.mean(ceiling)) == pytest.approx(stats.t.ppf(0.975, found.freedom) * error)


def test_a_run_pairs_the_students_of_its_three_sets() -> None:
    found = gap_share(seeded([60.0, 61.0, 60.5]), seeded([57.0, 58.0, 57.0]), seeded([66.0, 67.1, 66.8]))
    assert (found.freedom, found.gain.sets) == (2, 1)


def test_students_of_other_seeds_are_not_paired() -> None:
    found = gap_share(
        seeded([60.0, 61.0, 60.5]), seeded([57.0, 58.0, 57.0], distill_seed=5), seeded([66.0, 67.1], distill_seed=9)
    )
    assert found.value is not None
    assert not found.gain.paired


def test_set_at_the_floor_and_at_the_ceiling() -> None:
    assert gap_share(seeded(*FLOOR), seeded(*FLOOR), seeded(*CEILING)).text.startswith("0.00 (0.00 to 0.00)")
    assert gap_share(seeded(*CEILING), seeded(*FLOOR), seeded(*CEILING)).text == "1.00 (1.00 to 1.00)"


@pytest.mark.parametrize(
    ("floor", "ceiling"),
    [
        (SET, SET),  # one and the same
        (([60.0], [63.0], [57.0]), ([62.0], [61.0], [63.0])),  # within the noise
        (CEILING, FLOOR),  # the ceiling below the floor
        (([57.0],), ([66.0],)),  # one student each: no error known
    ],
)
def test_where_floor_and_ceiling_cannot_be_told_apart_there_is_no_share(
    floor: tuple[list[float], ...], ceiling: tuple[list[float], ...]
) -> None:
    found = gap_share(seeded(*SET), seeded(*floor), seeded(*ceiling))
    assert (found.value, found.interval, found.text) == (None, None, "–")


def test_one_student_of_the_set_leaves_the_share_open() -> None:
    assert gap_share(seeded([60.0]), seeded(*FLOOR), seeded(*CEILING)).text == "–"


def test_a_missing_reference_is_an_error() -> None:
    with pytest.raises(ValueError, match="got none of floor, ceiling"):
        gap_share(seeded(*SET), [], [])


@pytest.mark.slow
@pytest.mark.parametrize("ceiling_sets", [3, 1])
def test_intervals_cover_the_true_share_in_95_of_100_benches(ceiling_sets: int) -> None:
    """Set, floor and ceiling of known means; sets differ by 0.5 points, students of a seed share part of their luck."""
    random = np.random.default_rng(0)
    trials, share = 4000, 0.3

    def group(mean: float, sets: int, luck: np.ndarray, between: float) -> list[list[float]]:
        noise = random.normal(0, 0.4, (sets, 3)) + luck[:sets] + random.normal(0, between, (sets, 1))
        return (mean + noise).tolist()

    def covered() -> bool:
        luck = random.normal(0, 0.4, (3, 3))
        found = gap_share(
            seeded(*group(58 + 8 * share, 3, luck, 0.5)),
            seeded(*group(58, 3, luck, 0.5)),
            seeded(*group(66, ceiling_sets, luck, 0.0)),
        )
        assert found.interval is not None
        return found.interval[0] <= share <= found.interval[1]

    coverage = _rate(covered, trials)
    error = math.sqrt(0.05 * 0.95 / trials)
    # Triples are exact; Satterthwaite's freedom for a ceiling beside is an approximation.
    assert abs(coverage - 0.95) < (3 * error if ceiling_sets == 3 else 0.02)


def _rate(event: Callable[[], bool], trials: int) -> float:
    return sum(event() for _ in range(trials)) / trials
