"""Exchange rates on curves whose inverse is known, and their interval against its defining test and in simulation."""

import math

import numpy as np
import pytest
from scipy import stats
from seeded import seeded

from wmdd.evaluation.exchange import curve, exchange_rate

MULTIPLES = (1, 2, 3, 5, 10)


def line(multiple: float) -> float:
    """An accuracy that is linear in the logarithm: 50 points at 1, 10 more for each factor of 10."""
    return 50 + 10 * math.log10(multiple)


def exact(*accuracies: float) -> dict[float, list[dict[str, object]]]:
    return {multiple: seeded([top1] * 2, [top1] * 2) for multiple, top1 in zip(MULTIPLES, accuracies, strict=True)}


LINE = exact(*map(line, MULTIPLES))


@pytest.mark.parametrize("rate", [1, 1.5, 2, 4, 7.7, 10])
def test_a_curve_that_is_linear_in_the_logarithm_is_inverted_exactly(rate: float) -> None:
    assert exchange_rate(seeded([line(rate)], [line(rate)]), LINE).value == pytest.approx(rate)


def test_past_the_ends_only_bounds_are_known() -> None:
    below, beyond = (exchange_rate(seeded([top1], [top1]), LINE) for top1 in (49.0, 61.0))
    assert (below.value, below.interval, below.text) == (0.0, (0.0, 0.0), "< 1 (< 1)")
    assert (beyond.value, beyond.interval, beyond.text) == (math.inf, (math.inf, math.inf), "> 10 (> 10)")


def test_the_curve_is_isotonic_least_squares() -> None:
    points = curve(exact(50.0, 54.0, 52.0, 51.0, 60.0))
    assert [point.level for point in points] == pytest.approx([50, 157 / 3, 157 / 3, 157 / 3, 60])
    assert [point.mean for point in points] == [50, 54, 52, 51, 60]


def test_draws_count_in_the_curve_by_their_number() -> None:
    points = curve({2: seeded([54.0], [54.0], [54.0]), 3: seeded([50.0]), 1: seeded([40.0])})
    assert [(point.multiple, point.level) for point in points] == [(1, 40.0), (2, 53.0), (3, 53.0)]


def test_on_a_plateau_the_smallest_number_counts() -> None:
    assert exchange_rate(seeded([55.0], [55.0]), exact(50, 55, 55, 55, 60)).value == 2
    assert exchange_rate(seeded([55.0], [55.0]), exact(50, 52, 53, 55, 55)).value == 5


def test_the_ends_of_the_interval_are_where_a_paired_t_test_just_accepts() -> None:
    noise = np.random.default_rng(3).normal(0, 0.3, (6, 3))
    real = {m: seeded(*[[line(m) + x] for x in noise[i]]) for i, m in enumerate(MULTIPLES)}
    own = line(2.5) + noise[5]
    found = exchange_rate(seeded(*[[x] for x in own]), real)
    assert found.interval is not None
    knots = np.log([*MULTIPLES])
    draws = np.array([[line(m) + x for x in noise[i]] for i, m in enumerate(MULTIPLES)])
    for end in found.interval:
        assert 1 < end < 10
        at_end = [np.interp(math.log(end), knots, draws[:, seed]) for seed in range(3)]
        assert stats.ttest_rel(own, at_end).pvalue == pytest.approx(0.05, abs=0.002)


def test_an_interval_may_be_open_at_an_end() -> None:
    real = {m: seeded(*[[line(m) + x] for x in (-0.5, 0.4, 0.1)]) for m in MULTIPLES}
    near_floor = exchange_rate(seeded([50.9], [50.0], [50.8]), real)
    near_end = exchange_rate(seeded([59.9], [59.0], [59.9]), real)
    assert near_floor.text.startswith("1.1 (< 1 to ")
    assert near_end.text.endswith(" to > 10)")


def test_without_common_seeds_the_errors_add_up() -> None:
    real = {m: seeded([line(m) - 0.3, line(m) + 0.3], distill_seed=9) for m in (1, 10)}
    found = exchange_rate(seeded([54.8, 55.2]), real)
    assert found.interval is not None
    (low, high), share = found.interval, math.log10(found.interval[1])
    assert low < found.value < high
    variances = np.array([0.08, 0.18 * (1 - share) ** 2, 0.18 * share**2]) / 2
    freedom = variances.sum() ** 2 / (variances**2).sum()
    assert 10 * (share - 0.5) == pytest.approx(stats.t.ppf(0.975, freedom) * math.sqrt(variances.sum()), abs=0.03)


def test_one_draw_with_one_student_leaves_the_error_open() -> None:
    found = exchange_rate(seeded([55.0, 55.2]), {1: seeded([50.0]), 10: seeded([60.0])})
    assert (found.interval, found.text) == (None, "3.2 (error not known)")


@pytest.mark.parametrize(
    "random", [{}, {1: seeded([50.0])}, {1: seeded([50.0]), 2: []}, {0: seeded([1.0]), 1: seeded([2.0])}]
)
def test_a_curve_needs_two_numbers(random: dict[float, list[dict[str, object]]]) -> None:
    with pytest.raises(ValueError, match="two multiples above 0"):
        exchange_rate(seeded([50.0]), random)


def test_a_set_needs_a_score() -> None:
    with pytest.raises(ValueError, match="got no score"):
        exchange_rate([], LINE)


@pytest.mark.slow
def test_intervals_cover_the_true_rate_in_95_of_100_benches() -> None:
    random = np.random.default_rng(1)
    trials, hits = 400, 0
    for _ in range(trials):
        draws = random.normal(0, 0.5, (6, 3, 1)) + random.normal(0, 0.3, (6, 3, 3))
        real = {m: seeded(*(line(m) + draws[i])) for i, m in enumerate(MULTIPLES)}
        found = exchange_rate(seeded(*(line(3.5) + draws[5])), real)
        assert found.interval is not None
        hits += found.interval[0] <= 3.5 <= found.interval[1]
    assert abs(hits / trials - 0.95) < 3 * math.sqrt(0.05 * 0.95 / trials)
