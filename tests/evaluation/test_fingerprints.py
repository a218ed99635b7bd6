"""Fingerprints tell rules apart and nothing else; departures say what was not done as the protocol has it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from wmdd.evaluation.comparison import blocks
from wmdd.evaluation.fingerprints import departures, digest_of_set, digest_of_teachers, fingerprint
from wmdd.evaluation.students import Student, planned_students
from wmdd.settings import EvaluateSettings, RelabelSettings
from wmdd.stages.evaluate import evaluate
from wmdd.stages.relabel import relabel
from wmdd.values import DistilledSet, ImageSet, Teacher

STUDENT = "convnet1_w4"


@pytest.fixture
def make_student(distilled: DistilledSet, teacher: Teacher) -> Callable[..., Student]:
    def make(
        protocol: str = "wmdd",
        *,
        epochs: int | None = 2,
        wanted: str = "soft",
        of: DistilledSet = distilled,
        batch: int = 6,
        **relabelled: Any,
    ) -> Student:
        stored = (relabel(of, (teacher,), RelabelSettings(**relabelled), epochs=2, batch=batch),)
        chosen = EvaluateSettings(
            students=(STUDENT,), protocols=(protocol,), labels=wanted, seeds=1, epochs=epochs, tests=1
        )
        (student,) = planned_students(chosen, of, own_procedure="training", stored=stored)
        return student

    return make


def test_a_protocol_as_it_stands_departs_in_nothing(
    make_student: Callable[..., Student], distilled: DistilledSet
) -> None:
    for protocol in ("rded", "hard", "dc", "gvbsm"):
        student = make_student(protocol, epochs=None)
        whole = replace(student, training=student.training.with_(epochs=student.protocol.training.epochs))
        assert departures(whole, distilled) == ""


@pytest.mark.parametrize(
    ("relabelled", "wanted", "said"),
    [
        ({}, "soft", ""),
        ({"crop_min": 1.0, "flip": False, "cutmix": 0.0}, "soft", "whole views"),
        ({"crop_min": 0.5}, "soft", "crops from 50 %"),
        ({"crop_min": 1.0}, "soft", "no crops"),
        ({"flip": False, "cutmix": 0.0}, "soft", "no flips, no CutMix"),
        ({"temperature": 4.0}, "soft", "temperature 4"),
        ({"temperature": 4.0}, "hard", ""),
        ({"store": "topk", "top_k": 2}, "soft", "8 bits"),
        ({"store": "online"}, "soft", ""),
    ],
)
def test_departures_in_words(
    make_student: Callable[..., Student],
    distilled: DistilledSet,
    relabelled: dict[str, Any],
    wanted: str,
    said: str,
) -> None:
    student = make_student(wanted=wanted, **relabelled)
    assert departures(student, distilled) == ", ".join(filter(None, ("2 epochs", said)))


@pytest.mark.parametrize(("protocol", "batch", "said"), [("hard", 5, "batch 5"), ("hard", 6, ""), ("hard", 128, "")])
def test_another_batch_is_said_where_it_makes_other_steps(
    distilled: DistilledSet, protocol: str, batch: int, said: str
) -> None:
    chosen = EvaluateSettings(students=(STUDENT,), protocols=(protocol,), seeds=1, batch=batch)
    (student,) = planned_students(chosen, distilled, own_procedure="training", stored=())
    (usual,) = planned_students(chosen.with_(batch=None), distilled, own_procedure="training", stored=())
    assert departures(student, distilled) == said
    assert (fingerprint(student, distilled, "") == fingerprint(usual, distilled, "")) is (said == "")


def test_equal_rules_have_equal_fingerprints_whatever_the_seed_and_the_set(
    make_student: Callable[..., Student], distilled: DistilledSet
) -> None:
    student, other = make_student(), replace(distilled, method="another", images=255 - distilled.images)
    found = fingerprint(student, distilled, "t")
    assert fingerprint(replace(student, seed=5, name="x", number=3), other, "t") == found


@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": 1},
        {"relabelled": {"crop_min": 0.5}},
        {"relabelled": {"temperature": 4.0}},
        {"relabelled": {"store": "topk", "top_k": 2}},
        {"protocol": "gvbsm"},
        {"protocol": "rded"},
        {"wanted": "hard"},
        {"teachers": "u"},
    ],
)
def test_other_rules_have_other_fingerprints(
    make_student: Callable[..., Student], distilled: DistilledSet, changes: dict[str, Any]
) -> None:
    rest = {name: value for name, value in changes.items() if name not in {"relabelled", "teachers"}}
    other = make_student(**rest, **changes.get("relabelled", {}))
    found = fingerprint(other, distilled, changes.get("teachers", "t"))
    assert found != fingerprint(make_student(), distilled, "t")


def test_a_rate_that_a_set_has_learned_is_its_own(
    make_student: Callable[..., Student], distilled: DistilledSet
) -> None:
    from torch import tensor

    learned = replace(distilled, rates=tensor([0.5]))
    with_rate, without = make_student("dc", of=learned), make_student("dc")
    assert with_rate.training.lr != without.training.lr
    assert fingerprint(with_rate, learned, "") == fingerprint(without, distilled, "")


def test_digests_follow_contents(distilled: DistilledSet, teacher: Teacher) -> None:
    assert digest_of_set(distilled) == digest_of_set(replace(distilled, method="another"))
    assert digest_of_set(distilled) != digest_of_set(replace(distilled, weights=distilled.weights.flip(0) * 2))
    second = replace(teacher, weights={name: value + 1 for name, value in teacher.weights.items()})
    assert len({digest_of_teachers(each) for each in ((teacher,), (second,), (teacher, second))}) == 3
    assert digest_of_teachers((teacher, teacher)) == digest_of_teachers((teacher,))


def test_stored_views_are_those_of_the_protocols_batch_whatever_else_is_stored(
    distilled: DistilledSet, teacher: Teacher, val_set: ImageSet
) -> None:
    six, three = (relabel(distilled, (teacher,), RelabelSettings(), epochs=2, batch=batch) for batch in (6, 3))
    chosen = EvaluateSettings(students=(STUDENT,), protocols=("wmdd",), seeds=1, epochs=2, tests=1)
    alone, first, last = (
        evaluate(distilled, stored, (teacher,), val_set, chosen).scores
        for stored in ((six,), (three, six), (six, three))
    )
    assert alone == first == last


def test_rows_of_different_fingerprints_never_share_a_table(
    distilled: DistilledSet, teacher: Teacher, val_set: ImageSet
) -> None:
    from dataclasses import asdict

    rows: list[dict[str, Any]] = []
    for crop_min, flip in ((0.08, True), (1.0, False)):
        views = RelabelSettings(crop_min=crop_min, flip=flip, cutmix=0.0 if crop_min == 1 else 1.0)
        stored = (relabel(distilled, (teacher,), views, epochs=2, batch=6),)
        chosen = EvaluateSettings(students=(STUDENT,), protocols=("wmdd",), labels="soft", seeds=2, epochs=2, tests=1)
        rows += [asdict(score) for score in evaluate(distilled, stored, (teacher,), val_set, chosen).scores]
    found = blocks(rows)
    assert [block.conditions.protocol for block in found] == ["wmdd, 2 epochs", "wmdd, 2 epochs, whole views"]
    assert all(row["seen"] == 12 and row["test_loss"] > 0 for row in rows)
