"""Known answers of the aggregation, and the sentence in every case that can happen."""

from typing import Any

import pytest
from run_folders import make_metrics, score

from wmdd.report.tables import duration, flattened, human_bytes, sizes, summary_rows, tally, timings, verdict


def scores(**sets: tuple[float, ...]) -> dict[str, Any]:
    """Return finished metrics with these accuracies."""
    return make_metrics(evaluations=[score(of, i, v) for of, values in sets.items() for i, v in enumerate(values)])


def test_mean_and_sample_deviation() -> None:
    wmdd, random = summary_rows(scores(random=(61.0, 63.0, 65.0), wmdd=(77.0, 79.0)))
    assert (wmdd.set, wmdd.n, wmdd.mean) == ("wmdd", 2, 78.0)
    assert wmdd.std == pytest.approx(2**0.5)
    assert (random.set, random.n, random.mean, random.std) == ("random", 3, 63.0, 2.0)
    assert (wmdd.top5, wmdd.best) == (97.25, 78.5)


def test_one_seed_has_no_deviation_and_never_wins() -> None:
    wmdd, random = summary_rows(scores(wmdd=(90.0,), random=(10.0, 11.0)))
    assert wmdd.std is None
    assert not wmdd.ahead
    assert not random.ahead


def test_ahead_only_beyond_the_sum_of_both_deviations() -> None:
    assert summary_rows(scores(wmdd=(69.0, 71.0), random=(66.0, 68.0)))[0].ahead  # gap 3 > 2.83
    assert not summary_rows(scores(wmdd=(69.0, 71.0), random=(66.5, 68.5)))[0].ahead  # gap 2.5 < 2.83


def test_random_can_be_ahead() -> None:
    assert summary_rows(scores(wmdd=(50.0, 51.0), random=(60.0, 61.0)))[1].ahead


def test_a_seed_evaluated_twice_counts_once_and_broken_scores_not_at_all() -> None:
    entries = [score("wmdd", 0, 10.0), score("wmdd", 0, 20.0), score("wmdd", 1, float("nan"))]
    (row,) = summary_rows(make_metrics(evaluations=entries))
    assert (row.n, row.mean) == (1, 20.0)


def test_groups_do_not_mix() -> None:
    entries = [score("wmdd", 0, 1.0), score("wmdd", 0, 2.0, student="vit"), score("wmdd", 0, 3.0, protocol="rded"),
               score("wmdd", 0, 4.0, labels="hard"), score("wmdd", 0, 5.0, ipc=50)]  # fmt: skip
    assert [row.mean for row in summary_rows(make_metrics(evaluations=entries))] == [1, 2, 3, 4, 5]


def test_missing_columns_are_unknown() -> None:
    (row,) = summary_rows({"evaluations": [{"set": "wmdd", "top1": 5}]})
    assert (row.top5, row.best, row.student) == (None, None, "")


def test_verdict_better() -> None:
    assert verdict(make_metrics()) == (
        "WMDD reaches 78.2 ± 1.1 % with 2 images a class; random real images under the same labels reach 63.1 ± 2.0 %: "
        "15.1 points better, more than the two standard deviations together (3.1). "
        "WMDD keeps 80 % of the teacher's accuracy (97.5 %)."
    )


@pytest.mark.parametrize(
    ("wmdd", "random", "said"),
    [
        ((50.0, 51.0), (60.0, 61.0), "10.0 points worse, more than the two standard deviations together (1.4)"),
        ((50.0, 54.0), (51.0, 55.0), "1.0 points worse, which is within the two standard deviations together (5.7)"),
        ((52.0, 56.0), (51.0, 55.0), "1.0 points better, which is within the two standard deviations"),
        ((50.0, 54.0), (50.0, 54.0), "no difference"),
        ((60.0,), (50.0,), "10.0 points better, but with a single seed the spread is unknown"),
        ((50.0,), (50.0,), "level, but with a single seed"),
    ],
)
def test_verdict_is_honest(wmdd: tuple[float, ...], random: tuple[float, ...], said: str) -> None:
    assert said in verdict(scores(wmdd=wmdd, random=random))


def test_verdict_without_random_says_so() -> None:
    assert "random real images were not evaluated beside" in verdict(scores(wmdd=(50.0, 51.0)))


def test_verdict_of_random_alone() -> None:
    said = verdict(scores(random=(50.0, 52.0)))
    assert said.startswith("Random real images reach 51.0 ± 1.4 % with 2 images a class; no distilled set")
    assert "They keep 52 %" in said


def test_verdict_before_any_student() -> None:
    assert verdict({}) == "No student has been evaluated yet."
    assert verdict(make_metrics(evaluations=[])) == "No student has been evaluated yet. The teacher reaches 97.5 %."


def test_verdict_is_about_the_runs_own_method() -> None:
    metrics = make_metrics(evaluations=[score("sre2l", 0, 40.0), score("wmdd", 0, 60.0), score("random", 0, 50.0)])
    assert verdict(metrics).startswith("WMDD reaches 60.0 % with")
    assert verdict(metrics | {"run": {}, "teacher": {}}).startswith("SRe2L reaches 40.0 %")


def test_tally_counts_all_settings() -> None:
    entries = [
        score(of, seed, top1 + seed, student=student)
        for student, pair in {"a": (70, 60), "b": (50, 60), "c": (60, 60)}.items()
        for of, top1 in zip(("wmdd", "random"), pair, strict=True)
        for seed in range(2)
    ]
    said = tally(make_metrics(evaluations=entries))
    assert "Over all 3 settings" in said
    assert "clearly above in 1, clearly below in 1, not separated in 1." in said
    assert tally(make_metrics()) == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.25, "250 ms"), (12.34, "12.3 s"), (250, "4 min 10 s"), (3719.6, "1 h 02 min"), (90000, "25 h 00 min")],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 bytes"), (999, "999 bytes"), (12345, "12.3 kB"), (6.5e9, "6.5 GB"), (3e15, "3000.0 TB")]
)
def test_human_bytes(count: float, text: str) -> None:
    assert human_bytes(count) == text


def test_amounts_end_with_their_sum() -> None:
    lines = sizes({"images": 1000, "soft_labels": 3000, "odd": None})
    assert [(line.name, line.text, line.share) for line in lines] == [
        ("images", "1.0 kB", 25.0),
        ("soft labels", "3.0 kB", 75.0),
        ("total", "4.0 kB", 100.0),
    ]
    assert timings({}) == []
    assert timings({"squeeze": 0})[0].share == 0


def test_settings_are_flattened_by_section() -> None:
    recipe = {"ipc": 2, "a": {"x": None, "b": {"c": [1, 2]}, "on": True}, "empty": {}, "seed": [], "z": {"off": False}}
    assert flattened(recipe) == [
        ("run", [("ipc", "2"), ("seed", "none")]),
        ("a", [("x", "none"), ("b.c", "1, 2"), ("on", "yes")]),
        ("z", [("off", "no")]),
    ]
