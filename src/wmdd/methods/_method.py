"""What a method is, and what it may ask of the runner."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from wmdd.settings import (
    BarycenterSettings,
    DcSettings,
    DdSettings,
    DmSettings,
    DsaSettings,
    ExpertsSettings,
    GvbsmSettings,
    KipSettings,
    KMeansSettings,
    MmdSettings,
    MttSettings,
    RdedSettings,
    RecoverSettings,
    ScddSettings,
    Section,
    SqueezeSettings,
    StatisticsSettings,
)
from wmdd.stages.squeeze import SQUEEZE
from wmdd.stages.stage import Stage


class Result(Protocol):
    """A record that is, or will be, in the store; it is read only if somebody needs it."""

    @property
    def key(self) -> str:
        """Its identity."""
        ...

    @property
    def record(self) -> Any:
        """The record itself."""
        ...


class Stages(Protocol):
    """Runs stages: skips what is finished, resumes what is not."""

    def run(self, stage: Stage, *inputs: Result | tuple[Result, ...], settings: Section, **facts: Any) -> Result:
        """Return the result of `stage` on `inputs`; `facts` go to the stage as keyword arguments.

        A tuple of results is one input: the stage gets a tuple of their records.
        """
        ...


class MethodSettings(Protocol):
    """The part of a recipe that the built-in methods read."""

    @property
    def ipc(self) -> int:
        """Images per class."""
        ...

    @property
    def options(self) -> Mapping[str, Any]:
        """Settings of methods that come from other packages."""
        ...

    @property
    def squeeze(self) -> SqueezeSettings:
        """Of stage 1."""
        ...

    @property
    def statistics(self) -> StatisticsSettings:
        """Of stage 2."""
        ...

    @property
    def barycenter(self) -> BarycenterSettings:
        """Of stage 3."""
        ...

    @property
    def recover(self) -> RecoverSettings:
        """Of stage 4."""
        ...

    @property
    def kmeans(self) -> KMeansSettings:
        """Of method k-means."""
        ...

    @property
    def rded(self) -> RdedSettings:
        """Of method rded."""
        ...

    @property
    def dc(self) -> DcSettings:
        """Of method dc."""
        ...

    @property
    def dsa(self) -> DsaSettings:
        """Of method dsa."""
        ...

    @property
    def dm(self) -> DmSettings:
        """Of method dm."""
        ...

    @property
    def dd(self) -> DdSettings:
        """Of method dd."""
        ...

    @property
    def experts(self) -> ExpertsSettings:
        """Of method mtt."""
        ...

    @property
    def mtt(self) -> MttSettings:
        """Of method mtt."""
        ...

    @property
    def mmd(self) -> MmdSettings:
        """Of method mmd."""
        ...

    @property
    def gvbsm(self) -> GvbsmSettings:
        """Of method gvbsm."""
        ...

    @property
    def scdd(self) -> ScddSettings:
        """Of method scdd."""
        ...

    @property
    def kip(self) -> KipSettings:
        """Of method kip."""
        ...


def squeezed(stages: Stages, train: Result, val: Result, recipe: MethodSettings) -> tuple[Result, ...]:
    """Return the teacher that `squeeze` describes, alone."""
    return (stages.run(SQUEEZE, train, val, settings=recipe.squeeze),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large the real data are."""

    images: int
    classes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Images that pass through a network, counted beforehand, so that a run can say how long it will take."""

    arch: str
    forward: float = 0.0
    """Forward alone."""
    both: float = 0.0
    """Forward and backward."""


CountWork = Callable[[MethodSettings, Size], tuple[Work, ...]]


def squeezing(recipe: MethodSettings, size: Size) -> tuple[Work, ...]:
    """Count the training of the teacher, if it is trained."""
    if recipe.squeeze.checkpoint is not None:
        return ()
    return (Work(arch=recipe.squeeze.arch, both=recipe.squeeze.epochs * size.images),)


def _teacher_alone(recipe: MethodSettings) -> tuple[str, ...]:
    del recipe
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A way from real images and a teacher to a distilled set."""

    name: str
    source: str
    distill: Callable[[Stages, Result, tuple[Result, ...], MethodSettings], Result]
    """`distill(stages, train, teachers, recipe)` → result with a `DistilledSet`."""
    real: bool = False
    """Whether its images are real ones, whole or in pieces."""
    needs_batchnorm: bool = False
    """Whether it works only with a teacher that has BatchNorm layers."""
    teach: Callable[[Stages, Result, Result, MethodSettings], tuple[Result, ...]] = squeezed
    """`teach(stages, train, val, recipe)` → results with a `Teacher` each, who label together; the first is the run's:
    images have its normalisation, students its stem."""
    networks: Callable[[MethodSettings], tuple[str, ...]] = _teacher_alone
    """Names of the networks that it builds beside the teacher's; they are checked before anything is run."""
    teach_work: CountWork = squeezing
    """What `teach` passes through networks."""
    work: CountWork | None = None
    """What `distill` does; None = that is not known beforehand."""
    options: type[Section] | None = None
    """Of methods of other packages: what `recipe.options` must fit."""
