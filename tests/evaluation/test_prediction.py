"""Rank correlations: known answers, ties, intervals, which sets count and how often."""

import math
import random
from typing import Any

import pytest

from wmdd.evaluation.prediction import FEWEST, Correlation, correlate, interval, predictions

REAL = ("random", "herding")


def cell(method: str, seed: int, loss: Any, tops: tuple[float, ...], **changes: Any) -> dict[str, Any]:
    scores = [
        {"set": method, "ipc": 9, "student": "net", "protocol": "dc", "labels": "hard", "seed": number, "top1": top}
        for number, top in enumerate(tops)
    ]
    return {"method": method, "ipc": 1, "seed": seed, "losses": {"w2_images": loss}, "scores": scores} | changes


def test_a_monotone_relation_has_rho_one_or_minus_one() -> None:
    losses = [0.1, 0.2, 0.7, 5.0, 90.0]
    assert correlate(losses, [math.exp(loss / 10) for loss in losses]).rho == pytest.approx(1)
    assert correlate(losses, [-loss for loss in losses]).rho == pytest.approx(-1)


def test_rho_is_the_correlation_of_ranks_with_ties_at_their_mean() -> None:
    """By hand: ranks 1, 2.5, 2.5, 4, 5 and 2, 1, 3, 4.5, 4.5."""
    one, other = [1.0, 2.5, 2.5, 4.0, 5.0], [2.0, 1.0, 3.0, 4.5, 4.5]
    top = sum((a - 3) * (b - 3) for a, b in zip(one, other, strict=True))
    lengths = math.sqrt(sum((a - 3) ** 2 for a in one) * sum((b - 3) ** 2 for b in other))
    found = correlate([10, 20, 20, 30, 40], [0.5, 0.1, 0.7, 0.9, 0.9])
    assert found.rho == pytest.approx(top / lengths)
    assert found.n == 5


def test_too_few_pairs_or_pairs_without_differences_have_no_rho() -> None:
    assert correlate([1, 2, 3], [1, 2, 3]) == Correlation(rho=None, interval=None, n=3)
    assert correlate([1, 1, 1, 1], [1, 2, 3, 4]).rho is None
    assert correlate([1, 2, 3, 4], [7, 7, 7, 7]).interval is None
    assert correlate([], []).n == 0


def test_the_interval_is_that_of_bonett_and_wright() -> None:
    """ρ = 0.5, n = 28: artanh 0.5 ± 1.96 sqrt(1.125 / 25)."""
    low, high = interval(0.5, 28)
    half = 1.959964 * math.sqrt(1.125 / 25)
    assert (low, high) == pytest.approx((math.tanh(math.atanh(0.5) - half), math.tanh(math.atanh(0.5) + half)))
    assert interval(-0.5, 28) == pytest.approx((-high, -low))
    assert interval(0.0, 4)[1] == pytest.approx(math.tanh(1.959964))
    narrow = interval(0.5, 28, level=0.5)
    assert low < narrow[0] < narrow[1] < high


@pytest.mark.parametrize("n", [4, 5, 10, 40])
def test_a_perfect_order_leaves_something_open(n: int) -> None:
    low, high = interval(1.0, n)
    assert high == 1.0
    assert low == pytest.approx(interval(1 - 12 / (n**3 - n), n)[0])
    assert interval(-1.0, n) == pytest.approx((-1.0, -low))
    swapped = [2.0, 1.0, *(float(rank) for rank in range(3, n + 1))]
    assert correlate([float(rank) for rank in range(1, n + 1)], swapped).rho == pytest.approx(1 - 12 / (n**3 - n))


@pytest.mark.parametrize(("rho", "n"), [(0.5, 3), (1.2, 9), (float("nan"), 9)])
def test_impossible_correlations_have_no_interval(rho: float, n: int) -> None:
    with pytest.raises(ValueError, match="an interval needs"):
        interval(rho, n)


def test_the_interval_covers_the_true_value_nearly_always() -> None:
    """Of normal pairs with correlation r, Spearman's ρ is 6/π arcsin(r/2); 95 % of 400 intervals hold it."""
    draw, r = random.Random(0), 0.6
    true, hits = 6 / math.pi * math.asin(r / 2), 0
    for _ in range(400):
        pairs = [(draw.gauss(0, 1), draw.gauss(0, 1)) for _ in range(20)]
        found = correlate([a for a, _ in pairs], [r * a + math.sqrt(1 - r * r) * b for a, b in pairs])
        assert found.interval is not None
        hits += found.interval[0] <= true <= found.interval[1]
    assert 0.92 <= hits / 400 <= 0.98


def test_the_error_stands_in_for_a_missing_test_loss() -> None:
    cells = [cell("dm", seed, float(seed), (90.0 - seed, 80.0 - seed)) for seed in range(5)]
    (found,) = predictions(cells, REAL)
    assert (found.outcome, found.sets) == ("error", {"all": 5, "real": 0, "optimised": 5})
    assert found.conditions.ipc == 1
    assert found.correlations["w2_images"]["all"].rho == pytest.approx(1)
    for each in cells:
        for score in each["scores"]:
            score["test_loss"] = score["top1"]
    (found,) = predictions(cells, REAL)
    assert found.outcome == "test loss"
    assert found.correlations["w2_images"]["all"].rho == pytest.approx(-1)
    cells[0]["scores"][1]["test_loss"] = None
    assert predictions(cells, REAL)[0].outcome == "error"


def test_kinds_of_sets_are_told_apart() -> None:
    """Simpson's paradox: within each kind a lower loss is better; over all, real images have low losses and lose."""
    real = [cell("random", seed, 1.0 + seed / 10, (40.0 - seed,)) for seed in range(4)]
    made = [cell("dm", seed, 9.0 + seed / 10, (90.0 - seed,)) for seed in range(4)]
    (found,) = predictions([*real, *made], REAL)
    rhos = {scope: of.rho for scope, of in found.correlations["w2_images"].items()}
    assert rhos["real"] == rhos["optimised"] == pytest.approx(1)
    assert rhos["all"] is not None
    assert rhos["all"] < 0
    assert found.best is not None
    assert found.best[1].rho == rhos["all"]


def test_a_set_that_was_made_twice_counts_once() -> None:
    cells = [cell("herding", seed, 3.0, (50.0 + seed,)) for seed in range(3)]
    assert predictions(cells, REAL)[0].sets["all"] == 1
    for number, each in enumerate(cells):
        each["scores"][0]["images"] = f"digest {number}"
    assert predictions(cells, REAL)[0].sets["all"] == 3
    for each in cells:
        each["scores"][0]["images"] = "the same"
        each["losses"] = {"w2_images": float(each["seed"])}  # measured on another machine
    assert predictions(cells, REAL)[0].sets["all"] == 1


def test_absent_and_damaged_values_do_not_count() -> None:
    cells = [cell("dm", seed, float(seed), (90.0 - seed,)) for seed in range(6)]
    cells[0]["losses"] = {}
    del cells[1]["losses"]
    cells[2]["losses"]["gradient"] = 1.0
    cells[3]["losses"] = {"w2_images": float("nan"), "gradient": 2.0}
    cells[4]["scores"][0]["top1"] = None
    cells.append(cell("dm", 6, 9.0, (), scores=[]))
    (found,) = predictions(cells, REAL)
    assert found.sets["all"] == 3 < FEWEST
    assert {name: of["all"].n for name, of in found.correlations.items()} == {"w2_images": 2, "gradient": 2}
    assert found.best is None
    assert predictions([], REAL) == []


def test_settings_are_kept_apart_and_unknown_losses_come_last() -> None:
    cells = [cell("dm", seed, float(seed), (90.0 - seed,)) for seed in range(4)]
    for each in cells:
        each["losses"] = {"of a newer version": 1.0 + each["seed"], "gradient": 2.0, "w2_images": 4.0 - each["seed"]}
        each["scores"].append({**each["scores"][0], "labels": "soft", "top1": 10.0 + each["seed"]})
    hard, soft = predictions(cells, REAL)
    assert (hard.conditions.labels, soft.conditions.labels) == ("hard", "soft")
    assert list(hard.correlations) == ["w2_images", "gradient", "of a newer version"]
    assert [hard.correlations[name]["all"].rho for name in hard.correlations] == [
        pytest.approx(-1),
        None,
        pytest.approx(1),
    ]
    assert soft.correlations["w2_images"]["all"].rho == pytest.approx(1)
