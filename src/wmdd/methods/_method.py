"""What a method is, and what it may ask of the runner."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from wmdd.settings import BarycenterSettings, RecoverSettings, Section, StatisticsSettings
from wmdd.stages._stage import Stage


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

    def run(self, stage: Stage, *inputs: Result, settings: Section, **facts: Any) -> Result:
        """Return the result of `stage` on `inputs`; `facts` go to the stage as keyword arguments."""
        ...


class MethodSettings(Protocol):
    """The part of a recipe that the built-in methods read."""

    @property
    def ipc(self) -> int:
        """Images per class."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A way from real images and a teacher to a distilled set."""

    name: str
    source: str
    distill: Callable[[Stages, Result, Result, MethodSettings], Result]
    """`distill(stages, train, teacher, recipe)` → result with a `DistilledSet`."""
    needs_batchnorm: bool = False
    """Whether it works only with a teacher that has BatchNorm layers."""
