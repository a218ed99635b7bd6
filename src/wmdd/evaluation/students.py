"""The students of an evaluation: which networks learn under which protocols, by which procedure, from which seeds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

from wmdd.evaluation.protocol_names import chosen_protocols
from wmdd.evaluation.protocols import EvaluationProtocol, Procedure
from wmdd.settings import EvaluateSettings, TangentKernel, TrainSettings, ViewSettings
from wmdd.training.loop import test_epochs
from wmdd.values import DistilledSet, SoftLabels


@dataclass(frozen=True, slots=True, kw_only=True)
class Student:
    """One student, and its number among all that are evaluated."""

    name: str
    """The name of its saved state and of its rows in the log."""
    arch: str
    """Architecture; `"kernel"` where no network is trained."""
    protocol: EvaluationProtocol
    procedure: Procedure
    kernel: TangentKernel
    """Of kernel regression."""
    labels: Literal["soft", "hard"]
    """Whether it learns from the teachers or from the set's own labels."""
    seed: int
    training: TrainSettings
    views: ViewSettings
    """How its views are drawn, or were, where it replays them."""
    temperature: float
    """Of soft labels."""
    replays: SoftLabels | None
    """Stored views and the answers to them; None = views are drawn while it trains."""
    tests: frozenset[int]
    """Epochs after which it is tested."""
    number: int = 0
    total: int = 1


def planned_students(
    settings: EvaluateSettings, distilled: DistilledSet, *, own_procedure: Procedure, stored: Sequence[SoftLabels]
) -> list[Student]:
    """Return all students to be evaluated; one kernel regression replaces all students of its protocol.

    Args:
        settings: students, protocols, seeds, epochs.
        distilled: the set that they learn from.
        own_procedure: meaning of the protocol `own` for the set, see `procedure_of`.
        stored: soft labels of the set, one entry for each batch in which views were drawn.

    Raises:
        ConfigError: a protocol is unknown.
    """
    wanted: tuple[Literal["soft", "hard"], ...] = ("soft", "hard") if settings.labels == "both" else (settings.labels,)
    students: list[Student] = []
    for protocol in chosen_protocols(settings):
        procedure = procedure_of(protocol, distilled, own_procedure)
        replayed = stored_for(protocol, distilled, stored)
        training = _training(protocol, distilled, replayed)
        kinds = ("hard",) if protocol.labels == "hard" else wanted
        archs, seeds = (("kernel",), 1) if procedure == "kernel" else (settings.students, settings.seeds)
        students += [
            Student(
                name=f"{distilled.method} {arch} {protocol.name} seed {seed}{' hard' if labels != kinds[0] else ''}",
                arch=arch,
                protocol=protocol,
                procedure=procedure,
                kernel=distilled.kernel if protocol.procedure == "own" else protocol.kernel,
                labels=labels,
                seed=seed,
                training=training,
                views=_views(protocol, replayed),
                temperature=protocol.temperature if replayed is None else replayed.temperature,
                replays=replayed,
                tests=test_epochs(training.epochs, settings.tests),
            )
            for labels, arch, seed in product(kinds, archs, range(seeds))
        ]
    return numbered(students)


def numbered(students: Sequence[Student]) -> list[Student]:
    """Return the students, each with its number among them."""
    return [replace(student, number=number, total=len(students)) for number, student in enumerate(students)]


def stored_for(
    protocol: EvaluationProtocol, distilled: DistilledSet, stored: Sequence[SoftLabels]
) -> SoftLabels | None:
    """Return the stored labels that students of a protocol replay; None if they replay none.

    They are those whose views were drawn in the protocol's batches, so that they do not depend on which other protocols
    are evaluated; where only labels of other batches are there, the first.
    """
    if protocol.labels != "stored" or not stored:
        return None
    batch = protocol.batch(distilled.ipc, len(distilled.classes))
    return next((labels for labels in stored if labels.batch == batch), stored[0])


def procedure_of(protocol: EvaluationProtocol, distilled: DistilledSet, own_procedure: Procedure) -> Procedure:
    """Return what is done with a set under a protocol.

    Under `own` it is the method's own procedure; if that is "training" and the set has learned several rates, steps
    with these rates are taken instead.
    """
    if protocol.procedure != "own":
        return protocol.procedure
    several = distilled.rates is not None and len(distilled.rates) > 1
    return "steps" if several and own_procedure == "training" else own_procedure


def _training(protocol: EvaluationProtocol, distilled: DistilledSet, replayed: SoftLabels | None) -> TrainSettings:
    """Return how students are trained: with stored labels for at most as many epochs as were stored, if not pooled."""
    training = protocol.settings(distilled.ipc, len(distilled.classes))
    if replayed is not None and not replayed.pooled:
        training = training.with_(epochs=protocol.epochs_for(len(replayed.epochs), training.epochs))
    if protocol.learned_rate and distilled.rates is not None and len(distilled.rates) == 1:
        training = training.with_(lr=float(distilled.rates))
    return training


def _views(protocol: EvaluationProtocol, replayed: SoftLabels | None) -> ViewSettings:
    """Return how views are drawn: as the labels that are replayed were, or by the protocol."""
    drawn = None if replayed is None else replayed.drawn
    if drawn is None:
        return protocol.views
    return ViewSettings(crop_min=drawn.crop_min, flip=drawn.flip, cutmix=drawn.cutmix)
