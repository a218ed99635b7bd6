"""Terms of other packages in the recovery loss; `further` knows their names."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from wmdd.errors import ConfigError
from wmdd.settings import InversionSettings
from wmdd.settings.terms import weighted
from wmdd.stages.recovery.forward import TeacherForward
from wmdd.stages.recovery.further import LOSSES
from wmdd.stages.recovery.groups import Targets
from wmdd.stages.recovery.loss import Term
from wmdd.values import ClassStatistics
from wmdd.values.showing import shown_value


def further_terms(
    targets: Targets, statistics: ClassStatistics, settings: InversionSettings
) -> list[Term[TeacherForward]]:
    """Return the terms of other packages that `recover.terms` names; they add up over classes as those of the form do.

    Raises:
        ConfigError: a package cannot be loaded.
    """
    classes = len(targets.labels) if settings.form == "squared" else 1
    return [
        Term(
            name=f"{name}_loss",
            weight=weight,
            value=_checked(name, LOSSES.load(name).of_group(targets, statistics), len(targets.labels)),
            classes=classes,
        )
        for name, weight in weighted(settings.terms).items()
    ]


def _checked(name: str, value: Callable[[TeacherForward], Tensor], classes: int) -> Callable[[TeacherForward], Tensor]:
    """Return the value of another package's loss, refused in one line if it is no value of a loss."""

    def found(forward: TeacherForward) -> Tensor:
        loss: Any = value(forward)
        if not isinstance(loss, Tensor) or loss.shape not in {(), (classes,)}:
            got = shown_value(loss) if isinstance(loss, Tensor) else type(loss).__name__
            raise ConfigError(
                f"loss {name!r} of {LOSSES.owner(name)} must be a tensor with a value for each class ({classes}), or a "
                f"single one; got {got}; mend that package"
            )
        return loss

    return found
