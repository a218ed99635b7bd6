"""The sentence in every case that can happen, amounts and settings."""

from typing import Any

import pytest
from run_folders import make_metrics, score

from wmdd.evaluation.rows import summarise
from wmdd.report.tables import (
    duration,
    flattened,
    human_bytes,
    overall,
    passes,
    passes_text,
    sampling,
    sizes,
    timings,
    verdict,
)


def scores(**sets: tuple[float, ...]) -> dict[str, Any]:
    """Return finished metrics with these accuracies."""
    return make_metrics(evaluations=[score(of, i, v) for of, values in sets.items() for i, v in enumerate(values)])


@pytest.mark.parametrize(
    ("seen", "train", "said"), [(3_000_000, 1_281_167, "2.3"), (40, 1438, "0.028"), (30_000, 850, "35"), (0, 9, "–")]
)
def test_compute_in_passes_over_the_real_images(seen: int, train: int, said: str) -> None:
    (row,) = summarise([{**score("wmdd", 0, 50.0), "seen": seen}])
    assert passes_text(passes(row, {"data": {"train": train}})) == said
    assert passes_text(passes(row, {})) == "–"


def test_verdict_better() -> None:
    assert verdict(make_metrics()) == (
        "WMDD reaches 78.2 ± 1.1 % (one set of 3 students) with 2 images a class, tested on 360 images (95 % interval "
        "of one student: 73.6 to 82.2); random real images under the same labels reach 63.1 ± 2.0 % (one set of 3 "
        "students): 15.1 points better (standard error 0.5, 95 % interval +12.9 to +17.3, 3 pairs of students, for "
        "this one set only). WMDD keeps 80 % of the teacher's accuracy (97.5 %)."
    )


@pytest.mark.parametrize(
    ("wmdd", "random", "said"),
    [  # Of two pairs, t is 12.7.
        ((50.0, 51.0), (60.0, 61.1), "10.1 points worse (standard error 0.1, 95 % interval −10.7 to −9.4, 2 pairs of"),
        ((50.0, 54.0), (51.0, 55.4), "1.2 points worse (standard error 0.2, 95 % interval −3.7 to +1.3, 2 pairs of"),
        ((52.0, 56.0), (51.0, 55.4), "for this one set only): no clear difference."),
        ((60.0,), (50.0,), "10.0 points better, but one student: no error known, so nothing follows from it."),
        ((50.0,), (50.0,), "level, but one student: no error known"),
    ],
)
def test_verdict_is_honest(wmdd: tuple[float, ...], random: tuple[float, ...], said: str) -> None:
    assert said in verdict(scores(wmdd=wmdd, random=random))


@pytest.mark.parametrize(("images", "said"), [(400, " 400 test images: 95 % interval of an accuracy of 50 %, ± 4.9 (b"),
                                              (1, " 1 test image: "), (None, "")])  # fmt: skip
def test_the_caption_says_what_the_test_images_leave_open(images: int | None, said: str) -> None:
    assert sampling({"data": {"val": images}}).startswith(said)
    assert bool(sampling({"data": {"val": images}})) is bool(said)


def test_verdict_without_random_says_so() -> None:
    assert "random real images were not evaluated beside" in verdict(scores(wmdd=(50.0, 51.0)))


def test_verdict_of_random_alone() -> None:
    said = verdict(scores(random=(50.0, 52.0)))
    assert said.startswith(
        "Random real images reach 51.0 ± 1.4 % (one set of 2 students) with 2 images a class, tested on 360 images"
    )
    assert "no distilled set was evaluated" in said
    assert "They keep 52 %" in said


def test_verdict_before_any_student() -> None:
    assert verdict({}) == "No student has been evaluated yet."
    assert verdict(make_metrics(evaluations=[])) == "No student has been evaluated yet. The teacher reaches 97.5 %."


def test_verdict_is_about_the_runs_own_method() -> None:
    metrics = make_metrics(evaluations=[score("sre2l", 0, 40.0), score("wmdd", 0, 60.0), score("random", 0, 50.0)])
    assert verdict(metrics).startswith("WMDD reaches 60.0 % (one set of 1 student) with")
    assert verdict(metrics | {"run": {}, "teacher": {}}).startswith("SRe2L reaches 40.0 %")


def test_overall_counts_all_settings() -> None:
    entries = [
        score(of, seed, top1 + seed * (1 + 0.01 * (of == "wmdd")), student=student)
        for student, pair in {"a": (70, 60), "b": (50, 60), "c": (60, 60)}.items()
        for of, top1 in zip(("wmdd", "random"), pair, strict=True)
        for seed in range(2)
    ]
    said = overall(make_metrics(evaluations=entries))
    assert "Over all 3 settings" in said
    assert "clearly above in 1, clearly below in 1, not separated in 1." in said
    assert overall(make_metrics()) == ""


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
