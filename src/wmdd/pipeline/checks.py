"""What can be found wrong with a run before torch is imported and data are opened. Free of torch."""

from collections.abc import Iterable
from pathlib import Path

from wmdd.errors import ConfigError, did_you_mean
from wmdd.evaluation.protocol_names import find_protocol
from wmdd.evaluation.references import reference_methods, with_ceiling
from wmdd.methods.catalogue import find_method
from wmdd.models.names import check_name
from wmdd.pipeline.workers import this_worker
from wmdd.settings import InversionSettings, Recipe
from wmdd.stages.recovery.further import require_losses


def require_names(recipe: Recipe) -> None:
    """Refuse networks, protocols and losses that a recipe names and that do not exist.

    Raises:
        ConfigError: there is no such network, protocol or loss.
    """
    method = find_method(recipe.method)
    require_students(recipe.evaluate.students, recipe.evaluate.protocols)
    for arch in (recipe.squeeze.arch, *recipe.relabel.teachers, *method.network_names(recipe)):
        check_name(arch)
    require_losses(further_losses(recipe))


def further_losses(recipe: Recipe) -> tuple[str, ...]:
    """Return the further terms of a recipe's loss; none for methods without recovery."""
    return next((section.terms for _, section in recipe if isinstance(section, InversionSettings)), ())


def require_checkpoint(recipe: Recipe) -> None:
    """Refuse a checkpoint that is not there.

    Raises:
        ConfigError: there is no such file.
    """
    checkpoint = recipe.squeeze.checkpoint
    if checkpoint is not None and not Path(checkpoint).exists():
        raise ConfigError(f"checkpoint not found; got {checkpoint}; give the path of a state dict")


def require_students(students: Iterable[str], protocols: Iterable[str]) -> None:
    """Refuse students or protocols that do not exist.

    Raises:
        ConfigError: there is no such network or protocol.
    """
    for arch in students:
        check_name(arch)
    for name in protocols:
        find_protocol(name)


def stage_names(recipe: Recipe) -> tuple[str, ...]:
    """Return the stages of a run, in the order in which they begin."""
    method, full_data = find_method(recipe.method), recipe.evaluate.full_data
    squeezed = not method.own_teacher or recipe.relabel.teachers or full_data
    sets = [*method.stages, *(stage for name in reference_methods(recipe) for stage in find_method(name).stages)]
    names = (
        *(["squeeze"] if squeezed else []),
        *sets,
        *(["diagnose"] if "statistics" in sets else []),
        *("relabel", "evaluate"),
        *(["pool"] if with_ceiling(recipe) else []),
        *(["full_data"] if full_data else []),
    )
    return tuple(dict.fromkeys(names))


def evaluated_stage_names(recipe: Recipe, *, teaches: bool) -> tuple[str, ...]:
    """Return the stages of an evaluation of a finished run; `teaches`: whether other networks label than in the run."""
    sets = [stage for name in reference_methods(recipe) for stage in find_method(name).stages]
    names = (
        *(["squeeze"] if teaches else []),
        *sets,
        *(["diagnose"] if "statistics" in sets else []),
        *("relabel", "evaluate"),
        *(["pool"] if with_ceiling(recipe) else []),
    )
    return tuple(dict.fromkeys(names))


def require_stage(until: str | None, recipe: Recipe) -> None:
    """Refuse a last stage that the run does not have; the message lists those that it has.

    Raises:
        ConfigError: it has no such stage.
    """
    stages = stage_names(recipe)
    if until is None or until in stages:
        return
    near = did_you_mean(until, stages)
    listed = "" if "choose" in near else f" It has {', '.join(stages)}"
    raise ConfigError(f"until: no stage of this run of {recipe.method}; got {until!r}{near}{listed}")


def require_fresh(stage: str | None, stages: Iterable[str], until: str | None = None) -> None:
    """Refuse a stage that the command does not run, or that comes after the last one that it runs.

    Under several workers there is none: each would make the results anew.

    Raises:
        ConfigError: it is no such stage, and the message lists those there are; or there are several workers.
    """
    known = list(dict.fromkeys(stages))
    if stage is None:
        return
    if not this_worker().alone:
        raise ConfigError(
            f"--fresh under several workers: each would make the results anew; got {stage!r} and "
            f"{this_worker().size} workers; run it in one process"
        )
    if stage not in known:
        near = did_you_mean(stage, known)
        listed = "" if "choose" in near else f" It runs {', '.join(known)}"
        raise ConfigError(f"fresh: no stage of this command; got {stage!r}{near}{listed}")
    if until is not None and known.index(stage) > known.index(until):
        raise ConfigError(f"fresh: comes after the last stage; got {stage!r} and until {until!r}; leave one out")
