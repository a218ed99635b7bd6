"""Stage 6 for pools of real images: students that learn from more of them than a distilled set has.

All real images are the ceiling of a distilled set: what is left to gain under the same labels, views, batches and
number of steps. Smaller pools say how many random real images teach as much as the set. No result depends on a
distilled set or on a method.
"""

from collections.abc import Sequence
from dataclasses import replace

from wmdd.context import Context
from wmdd.evaluation.fingerprints import digest_of_teachers
from wmdd.evaluation.pools import Pool
from wmdd.evaluation.students import numbered, planned_students
from wmdd.evaluation.supervision import Supervision
from wmdd.evaluation.teaching import teach_and_test
from wmdd.models.committee import build_teachers
from wmdd.settings import EvaluateSettings
from wmdd.stages.evaluate import EVALUATE
from wmdd.stages.stage import Stage
from wmdd.values import EpochLabels, Evaluation, ImageSet, LazyEpochs, SoftLabels, Teacher


def evaluate_pool(
    train: ImageSet,
    soft_labels: Sequence[SoftLabels],
    teachers: Sequence[Teacher],
    val: ImageSet,
    settings: EvaluateSettings,
    *,
    ipc: int,
    per_class: int | None,
    ctx: Context | None = None,
) -> Evaluation:
    """Return the scores of the students of a pool beside those of distilled sets with `ipc` images a class.

    Procedures without training have no students of pools. The unit of work is one student.

    Args:
        train: the real images.
        soft_labels: of any set of `ipc` images a class, one entry for each batch, see `evaluate`. Protocols with stored
            labels take its views and temperature: each shows the image that stands at its place in the epoch. Its
            answers are about other images, so the teachers are asked anew.
        teachers: as in `evaluate`.
        val: the images on which students are tested.
        settings: students, protocols, seeds.
        ipc: images a class of the sets beside which the pool stands.
        per_class: images a class of the pool, drawn by the run's seed; None = all.
        ctx: environment.

    Raises:
        DataError: a class has fewer than `per_class` images; or teachers and images disagree about classes.
        ConfigError: an unknown student or protocol.
    """
    # Streams of evaluate: students of a pool begin with the weights, and see the views, of those of a set.
    ctx = replace(ctx or Context(), stage=EVALUATE.name)
    for teacher in teachers:
        teacher.require_classes(val.classes)
    pool = Pool.of(train, teachers[0], ipc=ipc, per_class=per_class, ctx=ctx)
    first = pool(0, 0)
    first.require_classes(val.classes)
    supervision = Supervision(
        distilled=first,
        supply=pool,
        images=pool.digest,
        teacher=build_teachers(teachers, ctx.device),
        stem=teachers[0].spec.stem,
        labelled_by=digest_of_teachers(teachers),
    )
    stored = [_views_alone(labels) for labels in soft_labels]
    students = planned_students(settings, first, own_procedure="training", stored=stored)
    trained = [student for student in students if student.procedure == "training"]
    return teach_and_test(numbered(trained), supervision, val, ctx)


def _views_alone(labels: SoftLabels) -> SoftLabels:
    """Return soft labels whose answers are left out, so that teachers are asked about each view.

    Which classes were kept stays: it is among the rules that a set and its references share.
    """

    def read(epoch: int) -> EpochLabels:
        stored = labels.epochs[epoch]
        return replace(stored, logits=None)

    return replace(labels, epochs=LazyEpochs(len(labels.epochs), read))


POOL = Stage(name="pool", version=1, run=evaluate_pool, output=Evaluation, workers="units")
