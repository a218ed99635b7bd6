"""Losses of other packages: further terms of recovery. Free of torch, so that their names are checked at once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wmdd.errors import ConfigError, did_you_mean
from wmdd.plugins import Plugins
from wmdd.settings.terms import weighted

if TYPE_CHECKING:
    from torch import Tensor

    from wmdd.stages.recovery.forward import TeacherForward
    from wmdd.stages.recovery.groups import Targets
    from wmdd.values import ClassStatistics

BUILT_IN = {
    "feature": "distance of features to the atoms, or MMD² to real ones: `recover.feature_loss`",
    "ce": "cross-entropy under the teacher: `recover.ce_weight`",
    "bn": "distance of BatchNorm moments: `recover.bn_weight`",
    "set": "distance of the set of a class's views, in wmdd+: `recover.set_share`",
    "tv": "total variation, in wmdd+: `recover.tv`",
    "density": "data densification, in gvbsm: `gvbsm.density`",
}
"""Terms of recovery that are built in, and the settings that weigh them; `NAME_loss` is a term's column in the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """A term of the recovery loss, of another package; docs/extending/loss.md writes one."""

    name: str
    of_group: "Callable[[Targets, ClassStatistics], Callable[[TeacherForward], Tensor]]"
    """`of_group(targets, statistics)` → `value(forward)`: a value for each class of the group, or one for all of it.

    It is called once for a group of images; `value` once a step, and gradients flow from it to the images."""


LOSSES = Plugins(
    word="loss",
    group="wmdd.losses",
    kind=Loss,
    public="wmdd.stages.recovery.further.Loss",
    taken=lambda name: name in BUILT_IN,
)
"""The losses of other packages."""


def require_losses(terms: tuple[str, ...]) -> None:
    """Refuse further terms that no package has.

    Raises:
        ConfigError: there is no such loss, or it is built in and has a setting of its own.
    """
    for name in weighted(terms):
        if name in BUILT_IN:
            raise ConfigError(f"recover.terms: a built-in term; got {name!r}; set {BUILT_IN[name].rpartition(': ')[2]}")
        if name not in LOSSES:
            otherwise = "install its package; `wmdd list losses` has what there is"
            raise ConfigError(
                f"recover.terms: unknown loss; got {name!r}{did_you_mean(name, LOSSES.names(), otherwise)}"
            )
