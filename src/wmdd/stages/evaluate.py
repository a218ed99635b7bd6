"""Stage 6, evaluate: train fresh students on a small set and test them on real images.

Every figure that counts is the accuracy after the last epoch; the highest over the tests is kept beside it. Nothing is
chosen on the validation images. A student differs between seeds in its initial weights, its dropout and, where views
are drawn afresh, in its views and their order; stored views are replayed as they are.

Who is trained is in `evaluation/students.py`, under which rules in `protocols.py`, on what in `supervision.py`, how in
`procedures.py`, what becomes of it in `teaching.py`.
"""

from collections.abc import Sequence

from wmdd.context import Context
from wmdd.evaluation.fingerprints import digest_of_set, digest_of_teachers
from wmdd.evaluation.protocols import Procedure
from wmdd.evaluation.students import planned_students
from wmdd.evaluation.supervision import Supervision, fixed
from wmdd.evaluation.teaching import teach_and_test
from wmdd.models.committee import build_teachers
from wmdd.settings import EvaluateSettings
from wmdd.stages.stage import Stage
from wmdd.values import DistilledSet, Evaluation, ImageSet, SoftLabels, Teacher


def evaluate(
    distilled: DistilledSet,
    soft_labels: Sequence[SoftLabels],
    teachers: Sequence[Teacher],
    val: ImageSet,
    settings: EvaluateSettings,
    *,
    own_procedure: Procedure = "training",
    ctx: Context | None = None,
) -> Evaluation:
    """Return the scores of `settings.seeds` students for each architecture and protocol.

    The mean of the teachers' logits labels under protocols with online labels; students have the first one's stem. The
    unit of work is one student. `own_procedure` is what protocol `own` means for sets of this method. `soft_labels` has
    an entry for each batch in which views were drawn and stored; see `stored_for`.

    Raises:
        DataError: the set, the teachers and the validation images disagree about classes.
        ConfigError: an unknown student or protocol.
    """
    ctx = ctx or Context()
    for record in (*teachers, distilled):
        record.require_classes(val.classes)
    supervision = Supervision(
        distilled=distilled,
        supply=fixed(distilled),
        images=digest_of_set(distilled),
        teacher=build_teachers(teachers, ctx.device),
        stem=teachers[0].spec.stem,
        labelled_by=digest_of_teachers(teachers),
    )
    students = planned_students(settings, distilled, own_procedure=own_procedure, stored=soft_labels)
    return teach_and_test(students, supervision, val, ctx)


EVALUATE = Stage(name="evaluate", version=4, run=evaluate, output=Evaluation, workers="units")
