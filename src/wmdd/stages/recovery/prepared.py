"""What every recovery begins with: the teacher's network, and the real images that are blended in on the way."""

from torch import nn

from wmdd.context import Context
from wmdd.models.batchnorm import require_batchnorm
from wmdd.models.building import build_teacher
from wmdd.models.compiling import compiled
from wmdd.settings import InversionSettings
from wmdd.stages.recovery.residuals import Residuals, residuals_of
from wmdd.values import ClassStatistics, ImageSet, Teacher


def prepared(
    train: ImageSet, teacher: Teacher, statistics: ClassStatistics, settings: InversionSettings, *, ctx: Context
) -> tuple[nn.Module, Residuals]:
    """Return the network through which images are optimised, compiled if the context asks for it, and the residuals.

    Images in a step have one shape, so that only their passes are compiled; residuals are looked at in others.

    Raises:
        ConfigError: the teacher has no BatchNorm layer.
        DataError: teacher and images disagree about classes.
    """
    teacher.require_classes(train.classes)
    model = build_teacher(teacher, ctx.device)
    require_batchnorm(model, teacher.spec.arch)
    return compiled(model, ctx), residuals_of(train, teacher, model, statistics, settings, ctx=ctx)
