"""The interval of an accuracy counted on n images."""

import pytest
from scipy.stats import binomtest

from wmdd.evaluation.proportion import half_width, wilson


@pytest.mark.parametrize(
    ("share", "n", "low", "high"),
    [  # Newcombe 1998, table I, method 3 (score without continuity correction)
        (81 / 263, 263, 0.2553, 0.3662),
        (15 / 148, 148, 0.0624, 0.1605),
        (0 / 20, 20, 0.0, 0.1611),
        (1 / 29, 29, 0.0061, 0.1718),
    ],
)
def test_published_intervals(share: float, n: int, low: float, high: float) -> None:
    assert wilson(share, n) == pytest.approx((low, high), abs=6e-5)


def test_it_is_symmetric_and_stays_within_bounds() -> None:
    for n in (1, 7, 10**6):
        for right in (0.0, 0.3, 1.0):
            low, high = wilson(right, n)
            assert 0 <= low <= right <= high <= 1
            assert wilson(1 - right, n) == pytest.approx((1 - high, 1 - low), abs=1e-12)


@pytest.mark.parametrize(("share", "n"), [(1.1, 10), (-0.1, 10), (float("nan"), 10), (0.5, 0)])
def test_what_is_no_proportion_is_refused(share: float, n: int) -> None:
    with pytest.raises(ValueError, match="an interval needs"):
        wilson(share, n)


@pytest.mark.parametrize(("right", "n"), [(0, 7), (3, 10), (181, 360), (9_981, 10_000)])
def test_whole_counts_have_the_interval_of_scipy(right: int, n: int) -> None:
    oracle = binomtest(right, n).proportion_ci(0.95, "wilson")
    assert wilson(right / n, n) == pytest.approx((oracle.low, oracle.high), abs=1e-5)  # z = 1.96 is rounded
    assert half_width(right / n, n) == pytest.approx((oracle.high - oracle.low) / 2, abs=1e-5)
