"""The upper reference: how well a network does that was trained on all real images."""

from wmdd.context import Context
from wmdd.evaluation.accuracy import accuracies
from wmdd.evaluation.real_names import FULL_DATA_SET
from wmdd.models.building import build_teacher
from wmdd.settings import NoSettings
from wmdd.stages.stage import Stage
from wmdd.values import Evaluation, ImageSet, Score, Teacher


def assess_full_data(
    trained: Teacher, val: ImageSet, settings: NoSettings, *, seed: int, ctx: Context | None = None
) -> Evaluation:
    """Return the score of a network that squeeze trained on all real images, as that of student number `seed`.

    Raises:
        DataError: network and images disagree about the classes.
    """
    del settings
    ctx = ctx or Context()
    trained.require_classes(val.classes)
    tested = accuracies(build_teacher(trained, ctx.device), val, trained, ctx)
    score = Score(
        set=FULL_DATA_SET,
        ipc=0,
        student=trained.spec.arch,
        protocol="squeeze",
        labels="hard",
        seed=seed,
        top1=tested["top1"],
        top5=tested["top5"],
        top1_best=tested["top1"],
    )
    ctx.log(unit=f"{score.student} seed {seed}", **tested)
    return Evaluation(scores=(score,))


FULL_DATA = Stage(name="full_data", version=1, run=assess_full_data, output=Evaluation, seeded=False)
