"""Protocols in words: every field that a protocol has shows in them."""

from dataclasses import fields, replace
from typing import Any

import pytest
import torch

from wmdd.evaluation.falling import FallingTemperature
from wmdd.evaluation.protocol_names import find_protocol
from wmdd.evaluation.protocols import PROTOCOLS, EvaluationProtocol
from wmdd.evaluation.rules import Rules, student_rules, view_rules
from wmdd.evaluation.students import Student
from wmdd.settings import TrainSettings, ViewSettings
from wmdd.values import SoftLabels

STORED = SoftLabels(
    store="full", batch=100, temperature=4.0, num_classes=10, epochs=(), plain=torch.zeros(1, 10), num_bytes=0
)


def student(protocol: EvaluationProtocol, **changes: Any) -> Student:
    training = changes.pop("training", protocol.settings(10, 10))
    values: dict[str, Any] = {
        "name": "x",
        "arch": "resnet18",
        "procedure": "training",
        "kernel": protocol.kernel,
        "labels": "hard" if protocol.labels == "hard" else "soft",
        "seed": 0,
        "tests": frozenset({1}),
        "views": protocol.views,
        "temperature": 4.0 if protocol.labels == "stored" else protocol.temperature,
        "replays": STORED if protocol.labels == "stored" else None,
    }
    return Student(protocol=protocol, training=training, **{**values, **changes})


def rules(of: Student, *, targets: bool = False) -> Rules:
    return student_rules(of, side=32, product=STORED, targets=targets)


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("targets", [False, True])
def test_every_protocol_has_all_rules(name: str, targets: bool) -> None:
    found = rules(student(find_protocol(name)), targets=targets)
    assert {
        "epochs",
        "batch",
        "optimiser",
        "learning rate",
        "views",
        "labels",
        "loss",
        "weights of images",
        "test",
    } <= {*found}
    assert all("\n" not in rule and "None" not in rule for rule in found.values())


TRAININGS: dict[str, Any] = {
    "epochs": 7,
    "batch": 7,
    "optimiser": "sgd",
    "lr": 0.5,
    "weight_decay": 0.25,
    "warmup": 2.0,
    "schedule": "constant",
    "zeta": 3.0,
    "ema": 0.5,
}


@pytest.mark.parametrize("field", [*TrainSettings.model_fields])
def test_every_setting_of_a_training_shows(field: str) -> None:
    base = student(find_protocol("rded"))
    if field == "momentum":  # of SGD only
        sgd = base.training.with_(optimiser="sgd")
        assert rules(replace(base, training=sgd)) != rules(replace(base, training=sgd.with_(momentum=0.5)))
    elif field != "label_smoothing":  # of teachers only
        assert rules(replace(base, training=base.training.with_(**{field: TRAININGS[field]}))) != rules(base)


FIELDS: dict[str, Any] = {
    "labels": "stored",
    "views": ViewSettings(crop_min=0.25),
    "loss": "mse",
    "temperature": 5.0,
    "class_weight": 0.5,
    "dsa": "crop_flip",
    "tiles": 2,
    "batch_statistics": True,
    "falling": FallingTemperature(factor=0.5, steps=4, least=1.0),
    "fitted": True,
    "stretch": (0.25, 0.75),
    "stretch_smoothing": 0.5,
}
BASES = {"stretch_smoothing": "hald"}
"""Field → a protocol on which it shows; `rded` for all others."""
ELSEWHERE = {"name", "summary", "source", "training", "batches", "many_classes"} | {
    "learned_rate",
    "procedure",
    "kernel",
}
"""Fields that are resolved into a student's training, or that name the protocol."""


@pytest.mark.parametrize("field", [field.name for field in fields(EvaluationProtocol)])
def test_every_field_of_a_protocol_shows(field: str) -> None:
    base = find_protocol(BASES.get(field, "rded"))
    if field not in ELSEWHERE:
        assert rules(student(replace(base, **{field: FIELDS[field]}))) != rules(student(base))


def test_the_step_schedule_says_its_step() -> None:
    assert rules(student(find_protocol("dc")))["learning rate"] == (
        "0.01, a tenth of it from epoch 501 on (counted from 0), the optimiser restarted"
    )


@pytest.mark.parametrize("name", ["hard", "dc", "own"])
def test_hard_labels_declare_that_weights_of_images_are_not_used(name: str) -> None:
    protocol = find_protocol(name)
    assert rules(student(protocol))["weights of images"] == "not used"
    assert "weights unused" in protocol.summary


def test_stored_labels_have_the_temperature_of_their_set() -> None:
    assert "teacher / 4)" in rules(student(find_protocol("wmdd")))["loss"]
    assert "teacher / 20)" in rules(student(find_protocol("rded")))["loss"]


@pytest.mark.parametrize(("procedure", "said"), [("kernel", "ridge regression"), ("steps", "each learned rate")])
def test_other_procedures_have_rules_of_their_own(procedure: str, said: str) -> None:
    found = rules(student(find_protocol("own"), procedure=procedure))
    assert said in found["procedure"]
    assert "optimiser" not in found


def test_kernel_regression_says_of_which_network() -> None:
    kernels = ("fc", "convnet1", "convnet3")
    said = [rules(student(find_protocol("own"), procedure="kernel", kernel=kernel))["procedure"] for kernel in kernels]
    assert "a fully connected ReLU network of one hidden layer," in said[0]
    assert "1 block of 3 x 3 convolution, ReLU and 2 x 2 mean pooling" in said[1]
    assert "3 blocks of" in said[2]


@pytest.mark.parametrize(
    ("views", "said"),
    [
        (ViewSettings(crop_min=1.0, flip=False), "whole images"),
        (ViewSettings(crop_min=1.0, flip=True), "whole images, half of them mirrored"),
        (ViewSettings(crop_min=0.08, flip=False, cutmix=1.0), "random crops of 8 to 100 % of the area"),
        (ViewSettings(crop_min=0.08, flip=False, cutmix=2.5), "CutMix with lambda from Beta(2.5, 2.5)"),
    ],
)
def test_views_in_words(views: ViewSettings, said: str) -> None:
    assert said in view_rules(views, 32)
