"""Stage 1, squeeze: train a classifier on the real images, or take one that the user brings.

The teacher carries its class order and its normalisation; whoever uses it checks both. Training follows the reference
code (SGD, cosine, random resized crops and flips); all numbers are settings.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from wmdd.context import Context, seeded, sent, stream_seed
from wmdd.data.inputs import InputForm, Normalisation
from wmdd.data.loading import fetch_batches, shuffled, to_float
from wmdd.data.views import crop_and_flip, draw_views
from wmdd.errors import ConfigError
from wmdd.evaluation.accuracy import accuracies
from wmdd.models.building import build_model, network_spec
from wmdd.models.foreign_facts import Moments, class_rows, stated_accuracy
from wmdd.models.taps import reorder_head
from wmdd.settings import SqueezeSettings, ViewSettings
from wmdd.stages.given_teacher import (
    GivenTeacher,
    examine,
    given_moments,
    moments_for,
    open_checkpoint,
    require_accuracy,
    warn_of_chance,
)
from wmdd.stages.stage import Stage
from wmdd.training.loop import Batch, Task, fit, test_epochs
from wmdd.training.losses import label_loss
from wmdd.values import ImageSet, ModelSpec, Teacher

NUM_TESTS = 5
RULES = 2
"""Rises when another teacher, or none, would come of the same checkpoint file."""


def squeeze(train: ImageSet, val: ImageSet, settings: SqueezeSettings, *, ctx: Context | None = None) -> Teacher:
    """Return a teacher for `train`, tested on `val`, which chooses nothing; with a checkpoint nothing is trained.

    Raises:
        ConfigError: the architecture is unknown, or the checkpoint does not fit it or the classes, or it is too weak
            and `squeeze.accept_weak` is off.
    """
    ctx = ctx or Context()
    spec = network_spec(settings.arch, train, settings.stem)
    start = begin(train, spec, settings, ctx)
    model = start.model
    if start.complete:
        given = GivenTeacher(owner=start.owner, model=model.eval(), given=start.given, top1=start.top1)
        form, trial = examine(given, train, settings, ctx)
        top1 = accuracies(model, val, form, ctx)["top1"]
        require_accuracy(given, trial, val, top1, settings, ctx=ctx)
    else:
        require_rows(settings, train, ctx)
        mean, std = moments_for(start.given, train)
        form = Normalisation(image_size=spec.image_size, mean=mean, std=std)
        task = replace(
            teacher_task(train, form, settings, ctx),
            test=lambda model: accuracies(model, val, form, ctx),
            tests=test_epochs(settings.epochs, NUM_TESTS),
        )
        model = fit(model, task, settings, ctx=ctx).model
        top1 = accuracies(model.eval(), val, form, ctx)["top1"]
        warn_of_chance(spec.arch, val, top1, ctx)
    ctx.log(unit="teacher", top1=top1)
    return as_teacher(model, spec, train, form, top1=top1)


def require_rows(settings: SqueezeSettings, train: ImageSet, ctx: Context) -> None:
    """Raise `ConfigError` if a batch has no image for one of the workers that take steps together."""
    batch = min(settings.batch, len(train))
    if batch < ctx.team.size:
        raise ConfigError(
            f"every worker needs an image of each batch; got squeeze.batch {batch} for {ctx.team.size} workers; "
            "raise it, or start fewer workers"
        )


def as_teacher(model: nn.Module, spec: ModelSpec, train: ImageSet, form: InputForm, *, top1: float) -> Teacher:
    """Return the record of a network that was trained on `train` under the normalisation of `form`."""
    weights = {name: value.detach().cpu().contiguous().clone() for name, value in model.state_dict().items()}
    return Teacher(spec=spec, weights=weights, classes=train.classes, mean=form.mean, std=form.std, top1=top1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """The network to begin with, and what its source says of it."""

    model: nn.Module
    given: Moments | str | None
    """The normalisation that settings or its source give, or a word for it."""
    complete: bool = False
    """Whether nothing is trained."""
    owner: str = ""
    """Whose weights they are, in words."""
    top1: float | None = None
    """The accuracy, in per cent."""


def begin(train: ImageSet, spec: ModelSpec, settings: SqueezeSettings, ctx: Context) -> Start:
    """Return the network that training begins with, on the device; its weights are a function of the seed and `spec`.

    Raises:
        ConfigError: a checkpoint, or pretrained weights, do not fit the network or the classes.
    """
    start = _begin(train, spec, settings, ctx)
    start.model.to(ctx.device).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return start


def _begin(train: ImageSet, spec: ModelSpec, settings: SqueezeSettings, ctx: Context) -> Start:
    with seeded(stream_seed(ctx.seed, ctx.stage, "weights"), torch.device("cpu")):
        if settings.pretrained and settings.checkpoint is None:
            return _pretrained(train, spec, settings, ctx)  # a fresh last layer, if any, is drawn here too
        model = build_model(spec)
    if settings.checkpoint is None:
        return Start(model=model, given=given_moments(settings, spec.channels))
    found, given = open_checkpoint(settings, spec, train.classes)
    model.load_state_dict(found.weights)
    owner = f"checkpoint {settings.checkpoint}"
    if found.reordered:
        _tell_order(owner, ctx)
    return Start(model=model, given=given, complete=True, owner=owner, top1=stated_accuracy(found.facts))


def _pretrained(train: ImageSet, spec: ModelSpec, settings: SqueezeSettings, ctx: Context) -> Start:
    from wmdd.models.pretrained import pretrained_model  # noqa: PLC0415 - timm is slow to import

    found, owner = pretrained_model(spec), f"pretrained {spec.arch}"
    if settings.classes and found.complete:
        reorder_head(found.model, class_rows(owner, settings.classes, train.classes))
        _tell_order(owner, ctx)
    given = given_moments(settings, spec.channels)
    return Start(
        model=found.model, given=found.moments if given is None else given, complete=found.complete, owner=owner
    )


def _tell_order(owner: str, ctx: Context) -> None:
    ctx.warn("class order", f"{owner} has another class order than the data; its last layer was put into theirs")


def teacher_task(train: ImageSet, form: InputForm, settings: SqueezeSettings, ctx: Context) -> Task:
    """Return how a teacher is trained on `train` under the normalisation of `form`; nothing is tested meanwhile."""
    return Task(
        name="teacher",
        steps=len(train) // min(settings.batch, len(train)),
        batches=lambda epoch: _epoch(train, form, settings, epoch, ctx=ctx),
        loss=lambda logits, batch: label_loss(logits, batch.targets, settings.label_smoothing),
    )


def _epoch(train: ImageSet, form: InputForm, settings: SqueezeSettings, epoch: int, *, ctx: Context) -> Iterator[Batch]:
    """Yield the batches of one epoch: shuffled, cropped, flipped; a last short batch is dropped.

    Of several workers that take steps together each has its rows of every batch; views do not depend on who has them.
    """
    chosen = ViewSettings(crop_min=settings.crop_min, flip=settings.flip)
    batch = min(settings.batch, len(train))
    order = shuffled(len(train), batch, ctx.generator("order", epoch), drop_last=True)
    own, share = ctx.team.rows(batch), ctx.team.weight(batch)
    fetched = fetch_batches(train, [whole[own] for whole in order], workers=ctx.workers, device=ctx.device)
    for step, (whole, (index, images)) in enumerate(zip(order, fetched, strict=True)):
        drawn = draw_views(whole, train.canvas, train.image_size, chosen, ctx.generator("views", epoch, step))
        drawn = drawn.rows(own.start, own.stop)
        views = crop_and_flip(to_float(images, form.mean, form.std), drawn.crop, drawn.flip, train.image_size)
        yield Batch(
            images=views.contiguous(memory_format=torch.channels_last),
            targets=sent(train.labels[index], ctx.device),
            positions=index,
            share=share,
        )
        ctx.progress(epoch * len(order) + step + 1, settings.epochs * len(order))


def checkpoint_digest(path: str) -> str:
    """Return by what a stored teacher knows a checkpoint file: its SHA-256, and the rules by which it was read."""
    with Path(path).open("rb") as file:
        return f"{hashlib.file_digest(file, 'sha256').hexdigest()}-{RULES}"


SQUEEZE = Stage(name="squeeze", version=1, run=squeeze, output=Teacher, workers="steps")
