"""The students of an evaluation: which networks learn under which protocols, by which procedure, from which seeds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

from wmdd.evaluation.protocols import EvaluationProtocol, Procedure, find_protocol
from wmdd.settings import EvaluateSettings, TrainSettings
from wmdd.training.loop import test_epochs
from wmdd.values import DistilledSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Student:
    """One student, and its number among all that are evaluated."""

    name: str
    """The name of its saved state and of its rows in the log."""
    arch: str
    """Architecture; `"kernel"` where no network is trained."""
    protocol: EvaluationProtocol
    procedure: Procedure
    labels: Literal["soft", "hard"]
    """Whether it learns from the teachers or from the set's own labels."""
    seed: int
    training: TrainSettings
    tests: frozenset[int]
    """Epochs after which it is tested."""
    number: int = 0
    total: int = 1


def planned_students(
    settings: EvaluateSettings, distilled: DistilledSet, *, own_procedure: Procedure, stored_epochs: int
) -> list[Student]:
    """Return all students to be evaluated; one kernel regression replaces all students of its protocol.

    Args:
        settings: students, protocols, seeds, epochs.
        distilled: the set that they learn from.
        own_procedure: meaning of the protocol `own` for the set, see `procedure_of`.
        stored_epochs: number of epochs with stored soft labels.

    Raises:
        ConfigError: a protocol is unknown.
    """
    wanted: tuple[Literal["soft", "hard"], ...] = ("soft", "hard") if settings.labels == "both" else (settings.labels,)
    students: list[Student] = []
    for protocol in map(find_protocol, settings.protocols):
        procedure = procedure_of(protocol, distilled, own_procedure)
        training = _training(protocol, distilled, settings.epochs, stored_epochs)
        kinds = ("hard",) if protocol.labels == "hard" else wanted
        archs, seeds = (("kernel",), 1) if procedure == "kernel" else (settings.students, settings.seeds)
        students += [
            Student(
                name=f"{distilled.method} {arch} {protocol.name} seed {seed}{' hard' if labels != kinds[0] else ''}",
                arch=arch,
                protocol=protocol,
                procedure=procedure,
                labels=labels,
                seed=seed,
                training=training,
                tests=test_epochs(training.epochs, settings.tests),
            )
            for labels, arch, seed in product(kinds, archs, range(seeds))
        ]
    return numbered(students)


def numbered(students: Sequence[Student]) -> list[Student]:
    """Return the students, each with its number among them."""
    return [replace(student, number=number, total=len(students)) for number, student in enumerate(students)]


def procedure_of(protocol: EvaluationProtocol, distilled: DistilledSet, own_procedure: Procedure) -> Procedure:
    """Return what is done with a set under a protocol.

    Under `own` it is the method's own procedure; if that is "training" and the set has learned several rates, steps
    with these rates are taken instead.
    """
    if protocol.procedure != "own":
        return protocol.procedure
    several = distilled.rates is not None and len(distilled.rates) > 1
    return "steps" if several and own_procedure == "training" else own_procedure


def _training(
    protocol: EvaluationProtocol, distilled: DistilledSet, epochs: int | None, stored_epochs: int
) -> TrainSettings:
    """Return how students are trained: with stored labels for at most as many epochs as were stored."""
    training = protocol.settings(distilled.ipc, len(distilled.classes), epochs)
    if protocol.labels == "stored":
        training = training.with_(epochs=min(training.epochs, stored_epochs))
    if protocol.learned_rate and distilled.rates is not None and len(distilled.rates) == 1:
        training = training.with_(lr=float(distilled.rates))
    return training
