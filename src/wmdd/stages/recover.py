"""Stage 4, recover: optimise images until their features hit the atoms, held natural by BatchNorm statistics.

For class k with images x_kj, atoms b_kj and weights w_kj (arXiv:2311.18531):

    L_k = (1/K) sum_j ||f(view(x_kj)) - b_kj||²  +  lambda * sum_l (||mu_kl(x) - mu_kl||² + ||var_kl(x) - var_kl||²)

with the w-weighted moments of each BatchNorm layer's input over the class's images and positions; the loss is the sum
over classes. Differs from the paper: the feature term is a mean over the class's images, so that lambda does not depend
on IPC. A class's loss depends on that class alone: grouping does not change the answer beyond rounding (`bn="global"`
and `form="reference"` couple the classes of a group by definition). Views are drawn per image. The terms of the loss
are in `recovery/terms.py`; docs/differences.md says what the reference code does instead.
"""

from wmdd.context import Context
from wmdd.settings import RecoverSettings
from wmdd.stages.recovery.descent import Recovery, recover_groups
from wmdd.stages.recovery.forward import TeacherForward
from wmdd.stages.recovery.groups import Group, barycenter_targets, class_groups, image_weights
from wmdd.stages.recovery.loss import GroupLoss
from wmdd.stages.recovery.prepared import prepared
from wmdd.stages.recovery.terms import recovery_loss
from wmdd.stages.stage import Stage
from wmdd.values import Barycenters, ClassStatistics, DistilledSet, ImageSet, Teacher


def recover(
    train: ImageSet,
    teacher: Teacher,
    statistics: ClassStatistics,
    barycenters: Barycenters,
    settings: RecoverSettings,
    *,
    method: str = "wmdd",
    ctx: Context | None = None,
) -> DistilledSet:
    """Return as many images per class as there are atoms; the unit of work is a group of classes.

    Raises:
        ConfigError: the teacher has no BatchNorm layer.
        DataError: teacher and images disagree about classes.
    """
    ctx = ctx or Context()
    model, residuals = prepared(train, teacher, statistics, settings, ctx=ctx)
    num_classes, ipc, _ = barycenters.atoms.shape
    groups = class_groups(num_classes, ipc, settings.batch)
    recovery = Recovery(train=train, teacher=teacher, settings=settings, groups=groups, ctx=ctx, residuals=residuals)

    def loss_of(group: Group) -> GroupLoss[TeacherForward]:
        targets = barycenter_targets(statistics, barycenters, group, settings, ctx.device)
        return recovery_loss(model, targets, statistics, settings, ctx=ctx)

    return recover_groups(recovery, method, loss_of, weights=image_weights(barycenters, settings))


RECOVER = Stage(name="recover", version=2, run=recover, output=DistilledSet, workers="units")
