"""What a student's accuracy rests on beside the set: in short as a fingerprint, in words where it is not the protocol.

Scores are comparable if their fingerprints are equal. It covers what the rules prescribe; what a set brings itself
(its images, weights and targets, its learned rates, its method's own procedure) is what is compared, and is left out.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from hashlib import sha256
from itertools import chain
from typing import Any

from wmdd.evaluation.protocol_names import find_protocol
from wmdd.evaluation.students import Student
from wmdd.mapped import byte_blocks
from wmdd.settings import ViewSettings
from wmdd.values import DistilledSet, Teacher

_DIGITS = 12
_NOTHING_DONE = ViewSettings(crop_min=1.0, flip=False, cutmix=0.0)


def fingerprint(student: Student, distilled: DistilledSet, teachers: str) -> str:
    """Return the fingerprint of a student's rules: views, epochs, batch, optimiser, loss, labels, temperature, teacher.

    Args:
        student: the student.
        distilled: the set; of it count side, channels and number of classes.
        teachers: digest of who labels, see `digest_of_teachers`; empty for hard labels.
    """
    protocol = student.protocol
    training = protocol.settings(distilled.ipc, len(distilled.classes)).with_(epochs=student.training.epochs)
    rules: dict[str, Any] = {name: value for name, value in asdict(protocol).items() if name not in _WORDS}
    rules = {name: value for name, value in rules.items() if name not in _LATER or value != _LATER[name]}
    rules |= {
        "training": training.model_dump(),
        "views": student.views.model_dump(),
        "batches": training.batch,
        "arch": student.arch,
        "soft": student.labels == "soft",
        "teachers": teachers,
        "inputs": [len(distilled.classes), *distilled.images.shape[1:]],
    }
    if student.labels == "soft":
        rules |= {"temperature": student.temperature, "kept": _kept(student), **_compact(student)}
    return short_digest([json.dumps(rules, sort_keys=True).encode()])


_WORDS = {"name", "summary", "source", "training", "views", "batches", "many_classes"}
"""Fields of a protocol that are words, or whose outcome counts in place of them."""
_LATER: dict[str, Any] = {"falling": None, "fitted": False, "stretch": None, "stretch_smoothing": 0.0, "kernel": "fc"}
"""Fields that came later, with the values at which they leave earlier fingerprints as they are."""


def departures(student: Student, distilled: DistilledSet) -> str:
    """Return in words how a student departs from its protocol, `"60 epochs, whole views"`; empty if it does not."""
    protocol = find_protocol(student.protocol.name)
    named, training = protocol.settings(distilled.ipc, len(distilled.classes)), student.training
    words = [f"{training.epochs} epochs"] if training.epochs != named.epochs else []
    words += [f"batch {training.batch}"] if training.batch != named.batch else []
    words += _other_views(student.views, protocol.views)
    if student.labels == "soft":
        if student.temperature != protocol.temperature:
            words.append(f"temperature {student.temperature:g}")
        if (kept := _kept(student)) is not None:
            words.append(f"{kept} largest logits")
        words += [f"{value} {name}" for name, value in _compact(student).items()]
    return ", ".join(words)


def digest_of_teachers(teachers: Sequence[Teacher]) -> str:
    """Return a digest of networks that label: of their structure, weights and normalisation; each counts once."""
    return short_digest(digest.encode() for digest in dict.fromkeys(map(_digest_of_teacher, teachers)))


def _digest_of_teacher(teacher: Teacher) -> str:
    found = sha256(json.dumps([asdict(teacher.spec), teacher.mean, teacher.std], sort_keys=True).encode())
    for name, values in sorted(teacher.weights.items()):
        found.update(name.encode())
        for block in byte_blocks(values.cpu()):
            found.update(block)
    return found.hexdigest()


def digest_of_set(distilled: DistilledSet) -> str:
    """Return a digest of what a set teaches: images, weights, targets, rates, whitening; equal sets have equal ones."""
    fields = ("images", "labels", "weights", "exact", "targets", "rates", "whitening")
    named = {name: getattr(distilled, name) for name in fields}
    given = {name: values.cpu() for name, values in named.items() if values is not None}
    return short_digest(part for name, values in given.items() for part in chain([name.encode()], byte_blocks(values)))


def short_digest(parts: Iterable[bytes | memoryview]) -> str:
    """Return the digest by which scores name what they rest on: of these parts, one after the other."""
    found = sha256()
    for part in parts:
        found.update(part)
    return found.hexdigest()[:_DIGITS]


def _other_views(drawn: ViewSettings, ruled: ViewSettings) -> list[str]:
    if drawn == ruled:
        return []
    if drawn == _NOTHING_DONE:
        return ["whole views"]
    words: list[str] = []
    if drawn.crop_min != ruled.crop_min:
        words.append("no crops" if drawn.crop_min == 1 else f"crops from {100 * drawn.crop_min:g} %")
    if drawn.flip != ruled.flip:
        words.append("flips" if drawn.flip else "no flips")
    if drawn.cutmix != ruled.cutmix:
        words.append(f"CutMix {drawn.cutmix:g}" if drawn.cutmix else "no CutMix")
    return words


def _kept(student: Student) -> int | None:
    """Return how many logits of a view were kept; None = all."""
    classes = student.replays.epochs[0].classes if student.replays is not None and student.replays.epochs else None
    return None if classes is None else int(classes.shape[1])


def _compact(student: Student) -> dict[str, int]:
    """Return in numbers how stored labels are less than full: bits of a logit, and epochs from which all are drawn."""
    labels = student.replays
    if labels is None or not labels.epochs:
        return {}
    bits = {} if labels.epochs[0].scale is None else {"bits": 8}
    fewer = labels.pooled and len(labels.epochs) < student.protocol.soft_epochs(*2 * (student.training.epochs,))
    return bits | ({"stored epochs": len(labels.epochs)} if fewer else {})
