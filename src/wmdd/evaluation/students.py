"""The students of an evaluation: which networks learn under which protocol, by which procedure, from which seeds."""

from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

from wmdd.evaluation.protocols import EvaluationProtocol, Procedure, find_protocol
from wmdd.settings import EvaluateSettings, TrainSettings
from wmdd.training.loop import test_epochs
from wmdd.values import DistilledSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Student:
    """One student, and its place among all that are evaluated."""

    name: str
    """Under which its state and its rows are kept."""
    arch: str
    """Architecture; `"kernel"` where no network is trained."""
    protocol: EvaluationProtocol
    procedure: Procedure
    labels: Literal["soft", "hard"]
    """Whether it learns from the teachers or from what the set brings itself."""
    seed: int
    training: TrainSettings
    tests: frozenset[int]
    """Epochs after which it is tested."""
    number: int = 0
    total: int = 1


def planned_students(
    settings: EvaluateSettings, distilled: DistilledSet, *, own_procedure: Procedure, stored_epochs: int
) -> list[Student]:
    """Return all students that are to be evaluated; one kernel regression stands for all of its protocol.

    Args:
        settings: students, protocols, seeds, epochs.
        distilled: what they learn from.
        own_procedure: what protocol `own` means for the set, see `procedure_of`.
        stored_epochs: of soft labels.

    Raises:
        ConfigError: an unknown protocol.
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
    return [replace(student, number=number, total=len(students)) for number, student in enumerate(students)]


def procedure_of(protocol: EvaluationProtocol, distilled: DistilledSet, own_procedure: Procedure) -> Procedure:
    """Return what is done with a set under a protocol.

    Under `own` it is the method's own procedure; a set that says "training" and has learned several rates has steps of
    these lengths instead.
    """
    if protocol.procedure != "own":
        return protocol.procedure
    several = distilled.rates is not None and len(distilled.rates) > 1
    return "steps" if several and own_procedure == "training" else own_procedure


def _training(
    protocol: EvaluationProtocol, distilled: DistilledSet, epochs: int | None, stored_epochs: int
) -> TrainSettings:
    """Return how students are trained: under stored labels for as many epochs as were stored, at the most."""
    training = protocol.settings(distilled.ipc, len(distilled.classes), epochs)
    if protocol.labels == "stored":
        training = training.with_(epochs=min(training.epochs, stored_epochs))
    if protocol.learned_rate and distilled.rates is not None and len(distilled.rates) == 1:
        training = training.with_(lr=float(distilled.rates))
    return training
