"""Which real images are imitated: the share of each class that the teacher finds easiest.

How easy an image is, is the teacher's log-probability of its class for the image as it is. With few images a class,
easy ones teach students more than typical or hard ones do (Sorscher et al., NeurIPS 2022, arXiv:2206.14486), and a
barycenter of them is one of the class's easy part: mass far out no longer draws atoms towards it. Partial transport,
which drops the mass farthest from the atoms, would trim by distance alone: it also drops rare but clear images.
"""

import math

import torch
from torch import Tensor

from wmdd.context import Context, Saved
from wmdd.methods.kits.answers import log_probabilities
from wmdd.methods.wmdd_plus import PlusSettings
from wmdd.models.building import build_teacher
from wmdd.stages.classes import class_by_class
from wmdd.stages.stage import Stage
from wmdd.values import ChosenImages, ImageSet, Teacher


def easy_images(
    train: ImageSet, teacher: Teacher, settings: PlusSettings, *, ipc: int, ctx: Context | None = None
) -> ChosenImages:
    """Return the easiest `settings.keep` of each class's images, rounded up, at least `ipc` where there are so many.

    Ties go to the lower position. The unit of work is a class.

    Raises:
        DataError: teacher and images disagree about classes.
    """
    ctx = ctx or Context()
    teacher.require_classes(train.classes)
    model = build_teacher(teacher, ctx.device)

    def one_class(label: int) -> Saved:
        members = train.of_class(label)
        scores = log_probabilities(model, train, teacher, members, ctx=ctx)[:, label]
        count = max(math.ceil(settings.keep * len(members)), min(ipc, len(members)))
        kept = easiest_rows(scores, count)
        ctx.log(unit=f"class {label}", kept=count, ease=float(scores[kept].mean()), ease_of_all=float(scores.mean()))
        return Saved(tensors={}, facts={"positions": members[kept].tolist()})

    found = class_by_class(one_class, len(train.classes), ctx=ctx)
    positions = [position for of_class in found.facts["positions"] for position in of_class]
    return ChosenImages(positions=torch.tensor(positions, dtype=torch.int64).sort().values)


def easiest_rows(scores: Tensor, count: int) -> Tensor:
    """Return the rows of the `count` largest scores `(n,)`, int64 `(count,)`, rising; ties go to the lower row."""
    return scores.argsort(descending=True, stable=True)[:count].sort().values


EASY = Stage(name="easy", version=1, run=easy_images, output=ChosenImages, seeded=False, workers="units")
