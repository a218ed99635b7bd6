"""What a run will do, resolved and checked once, before any stage runs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch

from wmdd.data.loading import require_images
from wmdd.evaluation.comparison import BASELINE
from wmdd.evaluation.protocols import EvaluationProtocol, find_protocol
from wmdd.methods.algorithm import Algorithm, Size, Work, load_algorithm
from wmdd.methods.catalogue import find_method
from wmdd.methods.method import Method
from wmdd.models.batchnorm import require_batchnorm
from wmdd.models.building import build_model, network_spec
from wmdd.settings import Recipe
from wmdd.stages.given_teacher import given_moments, open_checkpoint
from wmdd.values import ImageSet, ModelSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class RunWork:
    """The images that the parts of a run pass through networks if nothing of it is finished."""

    teachers: tuple[Work, ...]
    method: tuple[Work, ...] | None
    """None = not known beforehand."""
    labels: tuple[Work, ...]
    """Of one set."""
    students: tuple[Work, ...]
    """Of one set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """A run: its settings, and what follows from them and the data."""

    recipe: Recipe
    train: ImageSet
    val: ImageSet
    method: Method
    algorithm: Algorithm
    baseline: Algorithm
    """Makes the set that every run is compared with: random real images."""
    protocols: tuple[EvaluationProtocol, ...]
    label_epochs: int
    """Epochs for which labels are stored: those of the longest protocol that needs them, or 0."""
    label_batch: int
    """Images in a batch of the stored views."""
    networks: Mapping[str, ModelSpec]
    """Every network of the run, by architecture: teachers, all who label, students, the method's own; with one stem."""
    work: RunWork


def plan_run(recipe: Recipe, train: ImageSet, val: ImageSet) -> RunPlan:
    """Resolve a run, and find every mistake that can be found before hours of work.

    Raises:
        WmddError: a class has fewer images than the set needs; or a setting does not fit the method, the data or the
            checkpoint, or names something that does not exist.
    """
    method = find_method(recipe.method)
    algorithm = load_algorithm(method)
    require_images(train, recipe.ipc)
    protocols = tuple(find_protocol(name) for name in recipe.evaluate.protocols)
    label_epochs = _label_epochs(protocols, recipe.evaluate.epochs)
    work = _work(recipe, algorithm, train, protocols, label_epochs)
    archs = (
        recipe.squeeze.arch,
        *recipe.evaluate.students,
        *recipe.relabel.teachers,
        *method.network_names(recipe),
        *(part.arch for part in (*work.teachers, *(work.method or ()))),
    )
    plan = RunPlan(
        recipe=recipe,
        train=train,
        val=val,
        method=method,
        algorithm=algorithm,
        baseline=load_algorithm(find_method(BASELINE)),
        protocols=protocols,
        label_epochs=label_epochs,
        label_batch=next(iter([*labelled(protocols), *protocols])).batch(recipe.ipc, len(train.classes)),
        networks={arch: network_spec(arch, train, recipe.squeeze.stem) for arch in archs},
        work=work,
    )
    _check_teacher(plan)
    return plan


def labelled(protocols: Sequence[EvaluationProtocol]) -> list[EvaluationProtocol]:
    """Return the protocols for whose epochs, in whose batches, labels are stored: those that replay them.

    If all ask their teachers online, it is these protocols: the teacher is not part of the product, so its users have
    nothing but stored answers. Protocols that ask no teacher need none.
    """
    return [each for each in protocols if each.labels == "stored"] or [
        each for each in protocols if each.labels == "online"
    ]


def _label_epochs(protocols: Sequence[EvaluationProtocol], epochs: int | None) -> int:
    longest = max((each.training.epochs for each in labelled(protocols)), default=0)
    return (epochs or longest) if longest else 0


def _work(
    recipe: Recipe, algorithm: Algorithm, train: ImageSet, protocols: Iterable[EvaluationProtocol], label_epochs: int
) -> RunWork:
    evaluation, size = recipe.evaluate, Size(images=len(train), classes=len(train.classes))
    images = size.classes * recipe.ipc
    views = evaluation.seeds * sum(evaluation.epochs or each.training.epochs for each in protocols) * images
    return RunWork(
        teachers=algorithm.teach_work(recipe, size),
        method=None if algorithm.work is None else algorithm.work(recipe, size),
        labels=(Work(arch=recipe.squeeze.arch, forward=label_epochs * images),),
        students=tuple(Work(arch=arch, forward=views, both=views) for arch in evaluation.students),
    )


def _check_teacher(plan: RunPlan) -> None:
    """Refuse a teacher that the method cannot use, or a checkpoint that is not one for these images."""
    settings, spec = plan.recipe.squeeze, plan.networks[plan.recipe.squeeze.arch]
    if plan.method.needs_batchnorm:
        with torch.random.fork_rng(devices=[]):
            require_batchnorm(build_model(spec), spec.arch)
    if settings.checkpoint is not None:
        open_checkpoint(settings, spec, plan.train.classes)
    given_moments(settings, spec.channels)
