"""The algorithm of a method: how it wires stages, and what the runner offers for it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol

from wmdd.errors import ConfigError
from wmdd.methods.catalogue import METHODS
from wmdd.methods.method import Method
from wmdd.plugins import in_words
from wmdd.settings import Recipe, Section, TangentKernel
from wmdd.stages.squeeze import SQUEEZE
from wmdd.stages.stage import Stage
from wmdd.values import ImageSet


class Result(Protocol):
    """A record in the store, read only when it is needed."""

    @property
    def key(self) -> str:
        """Its identity."""
        ...

    @property
    def record(self) -> Any:
        """The record itself."""
        ...


class Stages(Protocol):
    """Runs stages: reuses finished results, resumes unfinished ones."""

    def run(
        self,
        stage: Stage,
        *inputs: Result | tuple[Result, ...],
        settings: Section,
        of: str = "",
        **facts: Any,
    ) -> Result:
        """Return the result of `stage` on `inputs`; `facts` go to the stage as keyword arguments.

        Several results in a tuple reach the stage as a tuple of their records. Where a stage runs several times, `of`
        says on the screen of which network or set this run is; it changes nothing else.
        """
        ...


def squeezed(stages: Stages, train: Result, val: Result, recipe: Recipe) -> tuple[Result, ...]:
    """Return the teacher that `squeeze` describes."""
    return (stages.run(SQUEEZE, train, val, settings=recipe.squeeze),)


def further_teachers(
    stages: Stages, train: Result, val: Result, recipe: Recipe, archs: Iterable[str]
) -> tuple[Result, ...]:
    """Return networks that are trained as `squeeze` says, whatever checkpoint the run's own teacher comes from."""
    settings = recipe.squeeze.without_checkpoint()
    return tuple(
        stages.run(SQUEEZE, train, val, settings=settings.with_(arch=arch), of=arch) for arch in dict.fromkeys(archs)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large the real data are."""

    images: int
    classes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Images that pass through a network, counted beforehand for the estimate of a run's time."""

    arch: str
    forward: float = 0.0
    """Forward alone."""
    both: float = 0.0
    """Forward and backward."""
    steps: float = field(default=0.0, compare=False)
    """Steps of an optimiser in which the passes are made: each costs something, however few its images are."""
    batch: int | None = field(default=None, compare=False)
    """Images in a step of the network's training; None = it is not trained."""
    setting: str = field(default="", compare=False)
    """What the batch is called among the settings, such as `squeeze.batch`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelWork:
    """Pairs of images whose tangent kernel is computed, counted beforehand for the estimate of a run's time."""

    kernel: TangentKernel
    forward: float = 0.0
    """Forward alone."""
    both: float = 0.0
    """Forward and backward."""


CountWork = Callable[[Recipe, Size], tuple[Work, ...]]


def squeezing(recipe: Recipe, size: Size) -> tuple[Work, ...]:
    """Count the training of the teacher, if it is trained."""
    return () if recipe.squeeze.checkpoint is not None else (squeezing_of(recipe.squeeze.arch, recipe, size),)


def squeezing_of(arch: str, recipe: Recipe, size: Size) -> Work:
    """Count the training of a network on all real images as `squeeze` says."""
    training = recipe.squeeze
    batch = min(training.batch, size.images)
    steps = training.epochs * (size.images // batch)
    return Work(arch=arch, both=training.epochs * size.images, steps=steps, batch=batch, setting="squeeze.batch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithm:
    """How real images and teachers become a distilled set."""

    distill: Callable[[Stages, Result, tuple[Result, ...], Recipe], Result]
    """`distill(stages, train, teachers, recipe)` → result with a `DistilledSet`."""
    teach: Callable[[Stages, Result, Result, Recipe], tuple[Result, ...]] = squeezed
    """`teach(stages, train, val, recipe)` → results with a `Teacher` each: the first is the run's, whose normalisation
    the images have; all of them label the set."""
    teach_work: CountWork = squeezing
    """Counts what `teach` passes through networks."""
    work: CountWork | None = None
    """Counts what `distill` passes through networks; None = not known beforehand."""
    kernel_work: Callable[[Recipe, Size], KernelWork] | None = None
    """Counts the pairs of images whose tangent kernel `distill` computes, in place of `work`."""
    check: Callable[[Recipe, ImageSet], None] | None = None
    """`check(recipe, train)` refuses settings that do not suit the real images, before anything runs."""


def load_algorithm(method: Method) -> Algorithm:
    """Import the algorithm of a method.

    Raises:
        ConfigError: it cannot be imported, or its module has no `ALGORITHM`.
    """
    try:
        algorithm = getattr(import_module(method.algorithm), "ALGORITHM", None)
    except Exception as error:
        raise ConfigError(
            f"{_whose(method)} cannot be loaded; got {in_words(error)}; mend {method.algorithm}"
        ) from error
    if not isinstance(algorithm, Algorithm):
        raise ConfigError(
            f"{_whose(method)}: {method.algorithm} must hold ALGORITHM, a wmdd.methods.Algorithm; got "
            f"{type(algorithm).__name__}; mend that module"
        )
    return algorithm


def _whose(method: Method) -> str:
    """Return a method in words, with the package that it comes from."""
    return f"method {method.name!r}{f' of {METHODS.owner(method.name)}' if method.name in METHODS else ''}"
