"""DD-Ranking's scores against numbers worked out by hand, and what a run can tell."""

import math
from typing import Any

import pytest

from wmdd.evaluation.ranking import (
    augmentation_robust_score,
    hard_label_recovery,
    improvement_over_random,
    label_robust_score,
    ranking_rows,
)


@pytest.mark.parametrize(
    ("ior", "hlr", "expected"),
    [
        (0.0, 0.0, 0.2689),
        (0.1, 0.4, 0.2097),
        (0.0, 0.5, 0.1748),
        (0.2, 0.0, 0.3137),
        (1.0, -1.0, 1.0),
        (-1.0, 1.0, 0.0),
    ],
)
def test_label_robust_score_has_known_values(ior: float, hlr: float, expected: float) -> None:
    assert label_robust_score(ior, hlr) == pytest.approx(expected, abs=5e-5)


def test_weights_choose_between_the_parts() -> None:
    assert label_robust_score(0.3, 0.9, weight=1.0) == pytest.approx(label_robust_score(0.3, -0.3))
    assert augmentation_robust_score(0.2, -0.7, weight=1.0) == pytest.approx(label_robust_score(0.4, 0.0))


def test_augmentation_robust_score_is_the_formula() -> None:
    beta = 0.5 * 0.3 + 0.5 * 0.1
    expected = (math.exp(beta) - math.exp(-1)) / (math.e - math.exp(-1))
    assert augmentation_robust_score(0.3, 0.1) == pytest.approx(expected)


def test_recovery_and_improvement_are_differences() -> None:
    assert hard_label_recovery(0.9, 0.5) == pytest.approx(0.4)
    assert improvement_over_random(0.5, 0.6) == pytest.approx(-0.1)


@pytest.mark.parametrize("per_cent", [56.5, -0.1])
def test_per_cents_are_refused(per_cent: float) -> None:
    with pytest.raises(ValueError, match="fractions here; got"):
        hard_label_recovery(per_cent, 0.5)


def score(of: str, protocol: str, top1: float, labels: str = "hard", seed: int = 0) -> dict[str, Any]:
    return {"set": of, "student": "net", "protocol": protocol, "labels": labels, "seed": seed, "top1": top1}


EVALUATIONS = [
    score("dm", "wmdd", 60.0, "soft"),
    score("dm", "wmdd", 70.0, "soft", seed=1),
    score("dm", "dc", 50.0),
    score("dm", "dc_plain", 40.0),
    score("dm", "dc_noaug", 30.0),
    score("random", "wmdd", 55.0, "soft"),
    score("random", "dc", 20.0),
    score("random", "dc_plain", 30.0),
    score("random", "dc_noaug", 10.0),
]


def test_rows_hold_what_a_run_can_tell() -> None:
    full_data = [{**score("full data", "squeeze", 90.0), "student": "net"}]
    rows = {row["protocol"]: row for row in ranking_rows(EVALUATIONS, full_data, random="random")}
    assert list(rows) == ["wmdd", "dc", "dc_plain", "dc_noaug"]
    assert rows["wmdd"]["ior"] == pytest.approx(0.10)
    assert rows["wmdd"]["hlr"] == pytest.approx(0.40)  # of dc, the first protocol with hard labels
    assert rows["wmdd"]["lrs"] == pytest.approx(label_robust_score(0.10, 0.40))
    assert "ars" not in rows["wmdd"]
    assert rows["dc_plain"]["hlr"] == pytest.approx(0.50)
    assert rows["dc"]["ars"] == pytest.approx(augmentation_robust_score(0.3, 0.2))
    assert rows["dc"]["ars_published"] == pytest.approx(augmentation_robust_score(0.3, 0.1))
    assert "ars" not in rows["dc_noaug"]
    assert rows["dc"]["labels"] == "hard"


def test_nothing_is_told_without_what_it_needs() -> None:
    without = ranking_rows(EVALUATIONS[:4], [], random="random")
    assert without == []
    rows = ranking_rows(EVALUATIONS, [], random="random")
    assert all("hlr" not in row and "lrs" not in row for row in rows)
