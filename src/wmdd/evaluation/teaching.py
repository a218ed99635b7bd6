"""Students are taught and tested, and what they reached becomes a score that carries the rules it rests on."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from wmdd.context import Context, every_unit
from wmdd.data.whitening import whitened
from wmdd.evaluation.accuracy import accuracies
from wmdd.evaluation.fingerprints import departures, fingerprint
from wmdd.evaluation.procedures import PROCEDURES, Test
from wmdd.evaluation.students import Student
from wmdd.evaluation.supervision import Supervision, whitening_on
from wmdd.values import Evaluation, ImageSet, Score


def teach_and_test(students: Sequence[Student], supervision: Supervision, val: ImageSet, ctx: Context) -> Evaluation:
    """Return the scores of these students, of whom those that are finished are not trained again."""
    whitening = whitening_on(supervision.distilled, ctx.device)

    def test(model: nn.Module) -> dict[str, float]:
        network = model if whitening is None else Whitened(model, whitening)
        return accuracies(network, val, supervision.distilled, ctx)

    names = [_saved_name(student) for student in students]
    scores = every_unit(names, lambda number: _score(students[number], supervision, test, ctx), ctx)
    return Evaluation(scores=tuple(scores))


def _saved_name(student: Student) -> str:
    """Return under which name the score of a student is saved."""
    return f"{student.name} score"


class Whitened(nn.Module):
    """A network behind the whitening that its training images had."""

    def __init__(self, network: nn.Module, whitening: Tensor) -> None:
        super().__init__()
        self._network, self._whitening = network, whitening

    def forward(self, images: Tensor) -> Tensor:
        """Return the network's outputs for normalised images `(B, ch, R, R)`."""
        with torch.autocast(images.device.type, enabled=False):
            seen = whitened(images, self._whitening).contiguous(memory_format=torch.channels_last)
        return self._network(seen)


def _score(student: Student, supervision: Supervision, test: Test, ctx: Context) -> Score:
    saved = ctx.restore(_saved_name(student))
    if saved is not None:
        return Score(**saved.facts)
    history = PROCEDURES[student.procedure](student, supervision, test, ctx)
    distilled, labelled_by = supervision.distilled, supervision.labelled_by if student.labels == "soft" else ""
    score = Score(
        set=distilled.method,
        ipc=distilled.ipc,
        student=student.arch,
        protocol=student.protocol.name,
        labels=student.labels,
        seed=student.seed,
        distill_seed=ctx.seed,
        departs=departures(student, distilled),
        fingerprint=fingerprint(student, distilled, labelled_by),
        labelled_by=labelled_by,
        images=supervision.images,
        seen=student.training.epochs * len(distilled.labels) if student.procedure == "training" else 0,
        test_loss=history[-1]["test_loss"] if student.procedure == "training" else None,
        top1=history[-1]["top1"],
        top5=history[-1]["top5"],
        top1_best=max(row["top1"] for row in history),
    )
    ctx.save(_saved_name(student), {}, **{field: getattr(score, field) for field in Score.__slots__})
    return score
