"""What a run will do, resolved and checked once, before any stage runs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from wmdd.data.loading import batch_spans, class_counts, require_images
from wmdd.errors import ConfigError
from wmdd.evaluation.protocol_names import chosen_protocols
from wmdd.evaluation.protocols import EvaluationProtocol
from wmdd.evaluation.references import reference_methods, with_ceiling
from wmdd.methods.algorithm import Algorithm, KernelWork, Size, Work, load_algorithm, squeezing_of
from wmdd.methods.catalogue import find_method, recipe_for
from wmdd.methods.method import Method
from wmdd.models.batchnorm import require_batchnorm, takes_single_images
from wmdd.models.building import build_model, network_spec
from wmdd.models.names import NETWORKS
from wmdd.pipeline.checks import further_losses
from wmdd.pipeline.package_code import named_networks
from wmdd.settings import Recipe, RelabelSettings
from wmdd.settings.terms import weighted
from wmdd.stages.given_teacher import given_moments, open_checkpoint
from wmdd.stages.recovery.further import LOSSES
from wmdd.stages.statistics import STATISTICS
from wmdd.training.kernels import require_kernel
from wmdd.values import ImageSet, ModelSpec
from wmdd.warnings import RunWarning


@dataclass(frozen=True, slots=True, kw_only=True)
class RunWork:
    """The images that the parts of a run pass through networks if nothing of it is finished."""

    teachers: tuple[Work, ...]
    method: tuple[Work, ...] | None
    """None = not known beforehand, as far as networks go."""
    kernel: KernelWork | None
    """Pairs of images whose kernel the method takes; None = it takes none."""
    labels: tuple[Work, ...]
    """Of one set."""
    students: tuple[Work, ...]
    """Of one set."""
    references: tuple[Work, ...]
    """Of making the references."""
    pool: tuple[Work, ...]
    """Of students of one pool of real images, in as many steps as those of a set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Real images that stand beside the run's set: how they are chosen, and under which settings."""

    method: Method
    algorithm: Algorithm
    recipe: Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelling:
    """Views that are drawn, labelled and stored: one protocol's, or those of several with one batch."""

    batch: int
    """Images in a batch: CutMix takes partners from it, and it has an order of its own."""
    epochs: int
    """Those of the longest protocol; 0 = no protocol needs any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """A run: its settings, and what follows from them and the data."""

    recipe: Recipe
    train: ImageSet
    val: ImageSet
    method: Method
    algorithm: Algorithm
    references: tuple[Reference, ...]
    """Sets of real images that every run is compared with, random ones in front; without the run's own method."""
    ceiling: bool
    """Whether students on all real images, in as many steps, stand beside."""
    protocols: tuple[EvaluationProtocol, ...]
    labelling: tuple[Labelling, ...]
    """What labels are stored, those of the product in front."""
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
    recipe, train = _with_room(recipe, train)
    require_images(train, recipe.ipc)
    protocols = chosen_protocols(recipe.evaluate)
    labelling = _labelling(protocols, recipe, len(train.classes))
    references = tuple(_reference(name, recipe) for name in reference_methods(recipe))
    work = _work(recipe, algorithm, (train, val), protocols, references)
    archs = (
        *named_networks(recipe),
        *(part.arch for part in (*work.teachers, *(work.method or ()))),
    )
    plan = RunPlan(
        recipe=recipe,
        train=train,
        val=val,
        method=method,
        algorithm=algorithm,
        references=references,
        ceiling=with_ceiling(recipe),
        protocols=protocols,
        labelling=labelling,
        networks={arch: network_spec(arch, train, recipe.squeeze.stem) for arch in archs},
        work=work,
    )
    _check_packages(plan)
    _check_teacher(plan)
    _check_batches(plan)
    _check_images(plan)
    return plan


def _with_room(recipe: Recipe, train: ImageSet) -> tuple[Recipe, ImageSet]:
    """Return the recipe with as many images a class as the smallest has, if `ipc_at_most` asks for it, and say so."""
    counts = class_counts(train)
    room = min(counts)
    if not recipe.ipc_at_most or recipe.ipc <= room:
        return recipe, train
    text = (
        f"{room} images a class in place of {recipe.ipc}, because class {train.classes[counts.index(room)]!r} has no "
        "more for training; add images to it, or leave it out"
    )
    warnings = (*train.warnings, RunWarning(kind="fewer images", text=text, count=recipe.ipc - room))
    return recipe.with_settings({"ipc": room}), replace(train, warnings=warnings)


def _reference(name: str, recipe: Recipe) -> Reference:
    method = find_method(name)
    return Reference(method=method, algorithm=load_algorithm(method), recipe=recipe_for(name, recipe))


def labelled(protocols: Sequence[EvaluationProtocol]) -> list[EvaluationProtocol]:
    """Return the protocols for whose epochs, in whose batches, labels are stored: those that replay them.

    If all ask their teachers online, it is these protocols: the teacher is not part of the product, so its users have
    nothing but stored answers. Protocols that ask no teacher need none.
    """
    return [each for each in protocols if each.labels == "stored"] or [
        each for each in protocols if each.labels == "online"
    ]


def labellings(
    protocols: Sequence[EvaluationProtocol],
    settings: RelabelSettings,
    *,
    ipc: int,
    classes: int,
) -> tuple[Labelling, ...]:
    """Return what is labelled and stored: for each batch the soft epochs of the longest protocol that has it.

    So the views of a protocol depend neither on the others nor on their order. Where all ask online, the labels are for
    users of the product alone, and batches of the first are enough.

    Args:
        protocols: those of the students.
        settings: of labels; `passes` are the most epochs that are stored.
        ipc: images a class.
        classes: C.
    """
    needed = labelled(protocols)
    first = (needed or protocols)[0].batch(ipc, classes)
    longest: dict[int, int] = {first: 0}
    for each in needed:
        batch = each.batch(ipc, classes) if each.labels == "stored" else first
        epochs = each.training.epochs
        longest[batch] = max(longest.get(batch, 0), each.soft_epochs(epochs, epochs))
    most = settings.passes if settings.store != "online" else None
    return tuple(Labelling(batch=batch, epochs=min(most or count, count)) for batch, count in longest.items())


def _labelling(protocols: Sequence[EvaluationProtocol], recipe: Recipe, classes: int) -> tuple[Labelling, ...]:
    return labellings(protocols, recipe.relabel, ipc=recipe.ipc, classes=classes)


def _work(
    recipe: Recipe,
    algorithm: Algorithm,
    sets: tuple[ImageSet, ImageSet],
    protocols: Sequence[EvaluationProtocol],
    references: Sequence[Reference],
) -> RunWork:
    train, val = sets
    evaluation, size = recipe.evaluate, Size(images=len(train), classes=len(train.classes))
    images = size.classes * recipe.ipc
    own = algorithm.teach_work(recipe, size)
    further = [squeezing_of(arch, recipe, size) for arch in recipe.relabel.teachers]
    students = [squeezing_of(arch, recipe, size) for arch in evaluation.students if evaluation.full_data]
    upper = [replace(each, both=evaluation.seeds * each.both) for each in students]
    labelling = dict.fromkeys([recipe.squeeze.arch, *(each.arch for each in (*own, *further))])
    labelled_views = images * sum(each.epochs for each in _labelling(protocols, recipe, size.classes))
    return RunWork(
        teachers=(*dict.fromkeys((*own, *further)), *upper),
        method=None if algorithm.work is None else algorithm.work(recipe, size),
        kernel=None if algorithm.kernel_work is None else algorithm.kernel_work(recipe, size),
        labels=tuple(Work(arch=arch, forward=labelled_views) for arch in labelling),
        students=tuple(
            part
            for each in protocols
            for part in _student_work(each, recipe, size, len(val), labelling if each.labels == "online" else ())
        ),
        references=_reference_work(recipe, references, size),
        pool=tuple(part for each in protocols for part in _student_work(each, recipe, size, len(val), labelling)),
    )


def _reference_work(recipe: Recipe, references: Sequence[Reference], size: Size) -> tuple[Work, ...]:
    """Count what making the references passes through networks: the statistics that the run's method lacks."""
    if STATISTICS.name in find_method(recipe.method).stages:
        return ()
    return tuple(part for each in references if each.algorithm.work for part in each.algorithm.work(each.recipe, size))


def _student_work(
    protocol: EvaluationProtocol, recipe: Recipe, size: Size, tested: int, labelling: Iterable[str]
) -> Iterator[Work]:
    """Count what a protocol's students are trained on and tested with, and what the networks `labelling` answer."""
    if protocol.procedure == "kernel":
        return
    settings, images = recipe.evaluate, size.classes * recipe.ipc
    epochs = protocol.training.epochs
    soft = protocol.labels != "hard" and settings.labels != "hard"
    runs = settings.seeds * (1 + (soft and settings.labels == "both"))
    batch = protocol.batch(recipe.ipc, size.classes)
    for arch in settings.students:
        tests = runs * min(settings.tests, epochs) * tested
        steps = runs * epochs * len(batch_spans(images, batch))
        yield Work(arch=arch, forward=tests, both=runs * epochs * images, steps=steps, batch=batch)
    if soft:
        views = settings.seeds * len(settings.students) * epochs * images
        for arch in labelling:
            yield Work(arch=arch, forward=views, batch=batch if protocol.batch_statistics else None)


def _check_packages(plan: RunPlan) -> None:
    """Refuse losses and networks of other packages that cannot be loaded or built."""
    for name in weighted(further_losses(plan.recipe)):
        LOSSES.load(name)
    for spec in (spec for arch, spec in plan.networks.items() if arch in NETWORKS):
        with torch.random.fork_rng(devices=[]):
            build_model(spec)


def _check_batches(plan: RunPlan) -> None:
    """Refuse steps on a single image for networks that cannot take them."""
    work = plan.work
    for part in (*work.teachers, *(work.method or ()), *work.students):
        if part.batch != 1:
            continue
        spec = plan.networks[part.arch]
        with torch.random.fork_rng(devices=[]):
            single = takes_single_images(build_model(spec), spec)
        if not single:
            raise ConfigError(
                f"{part.arch} cannot be trained on one image at a time, for its BatchNorm would see a single value; "
                f"got {part.setting + ' 1' if part.setting else 'one image in all'}; "
                f"raise {part.setting or '--ipc'}, or take a network without BatchNorm"
            )


def _check_images(plan: RunPlan) -> None:
    """Refuse settings of the method, and kernels of protocols, that do not suit the images."""
    if plan.algorithm.check is not None:
        plan.algorithm.check(plan.recipe, plan.train)
    for protocol in plan.protocols:
        require_kernel(protocol.kernel, plan.train.image_size)


def _check_teacher(plan: RunPlan) -> None:
    """Refuse a teacher that the method cannot use, or a checkpoint that is not one for these images."""
    settings, spec = plan.recipe.squeeze, plan.networks[plan.recipe.squeeze.arch]
    if plan.method.needs_batchnorm:
        with torch.random.fork_rng(devices=[]):
            require_batchnorm(build_model(spec), spec.arch)
    if settings.checkpoint is not None:
        open_checkpoint(settings, spec, plan.train.classes)
    given_moments(settings, spec.channels)
