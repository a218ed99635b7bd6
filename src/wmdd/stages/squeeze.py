"""Stage 1, squeeze: train a classifier on the real images, or take one that the user brings.

The teacher carries its class order and its normalisation; whoever uses it checks both. Training follows the reference
code (SGD, cosine, random resized crops and flips); all numbers are settings.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from wmdd.context import Context, seeded, stream_seed
from wmdd.data.loading import channel_moments, fetch_batches, shuffled, to_float
from wmdd.data.views import crop_and_flip, draw_views
from wmdd.evaluation.accuracy import accuracies
from wmdd.models.building import build_model, resolve_spec
from wmdd.models.checkpoints import Pretrained, load_checkpoint, pretrained_model
from wmdd.settings import SqueezeSettings, ViewSettings
from wmdd.stages.stage import Stage
from wmdd.training.loop import Batch, Task, fit, test_epochs
from wmdd.training.losses import label_loss
from wmdd.values import ImageSet, ModelSpec, Teacher

NUM_TESTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What training and testing the teacher need."""

    train: ImageSet
    val: ImageSet
    settings: SqueezeSettings
    mean: tuple[float, ...]
    std: tuple[float, ...]
    ctx: Context

    def test(self, model: nn.Module) -> dict[str, float]:
        """Return the accuracies on the validation images."""
        return accuracies(model, self.val, self.mean, self.std, self.ctx)


def squeeze(train: ImageSet, val: ImageSet, settings: SqueezeSettings, *, ctx: Context | None = None) -> Teacher:
    """Return a teacher for `train`, tested on `val`.

    Args:
        train: images to learn from.
        val: images to test on; they choose nothing.
        settings: architecture and training; with `checkpoint` nothing is trained.
        ctx: surroundings.

    Raises:
        ConfigError: the architecture is unknown, or the checkpoint does not fit it or the classes.
    """
    ctx = ctx or Context()
    spec = teacher_spec(train, settings)
    start = _begin(train, spec, settings, ctx)
    job = _Job(train=train, val=val, settings=settings, mean=start.mean, std=start.std, ctx=ctx)
    model = start.model.to(ctx.device).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    if not start.complete:
        model = _train(job, model)
    top1 = job.test(model.eval())["top1"]
    ctx.log(unit="teacher", top1=top1)
    return as_teacher(model, spec, train, normalisation=(start.mean, start.std), top1=top1)


def as_teacher(
    model: nn.Module,
    spec: ModelSpec,
    train: ImageSet,
    *,
    normalisation: tuple[tuple[float, ...], tuple[float, ...]],
    top1: float,
) -> Teacher:
    """Return the record of a network that was trained on `train` under a mean and a deviation per channel."""
    mean, std = normalisation
    weights = {name: value.detach().cpu().contiguous().clone() for name, value in model.state_dict().items()}
    return Teacher(spec=spec, weights=weights, classes=train.classes, mean=mean, std=std, top1=top1)


class NamesNetwork(Protocol):
    """Settings that name a teacher's network."""

    @property
    def arch(self) -> str:
        """Its name."""
        ...

    @property
    def stem(self) -> str:
        """Its first layers."""
        ...


def teacher_spec(train: ImageSet, settings: NamesNetwork) -> ModelSpec:
    """Return the specification of a teacher for `train`.

    Raises:
        ConfigError: the architecture is unknown, or the images do not suit it.
    """
    return resolve_spec(
        settings.arch,
        num_classes=len(train.classes),
        channels=train.channels,
        image_size=train.image_size,
        stem=settings.stem,
    )


def _begin(train: ImageSet, spec: ModelSpec, settings: SqueezeSettings, ctx: Context) -> Pretrained:
    """Return the network to begin with and its normalisation; if it is complete, nothing is trained."""
    with seeded(stream_seed(ctx.seed, ctx.stage, "weights"), torch.device("cpu")):
        if settings.pretrained and settings.checkpoint is None:
            return pretrained_model(spec)  # a fresh last layer, if any, is drawn here too
        model = build_model(spec)
    mean, std = channel_moments(train)
    if settings.checkpoint is not None:
        model.load_state_dict(load_checkpoint(Path(settings.checkpoint), spec, train.classes))
    return Pretrained(model=model, mean=mean, std=std, complete=settings.checkpoint is not None)


def _train(job: _Job, model: nn.Module) -> nn.Module:
    settings = job.settings
    batch = min(settings.batch, len(job.train))

    def loss(logits: Tensor, batch: Batch) -> Tensor:
        return label_loss(logits, batch.targets, settings.label_smoothing)

    task = Task(
        name="teacher",
        steps=len(job.train) // batch,
        batches=lambda epoch: _epoch(job, batch, epoch),
        loss=loss,
        test=job.test,
        tests=test_epochs(settings.epochs, NUM_TESTS),
    )
    return fit(model, task, settings, ctx=job.ctx).model


def _epoch(job: _Job, batch: int, epoch: int) -> Iterator[Batch]:
    """Yield the batches of one epoch: shuffled, cropped, flipped; a last short batch is dropped."""
    train, settings, ctx = job.train, job.settings, job.ctx
    chosen = ViewSettings(crop_min=settings.crop_min, flip=settings.flip)
    order = shuffled(len(train), batch, ctx.generator("order", epoch), drop_last=True)
    fetched = fetch_batches(train, order, workers=ctx.workers, device=ctx.device)
    for step, (index, images) in enumerate(fetched):
        drawn = draw_views(index, train.canvas, train.image_size, chosen, ctx.generator("views", epoch, step))
        views = crop_and_flip(to_float(images, job.mean, job.std), drawn.crop, drawn.flip, train.image_size)
        yield Batch(
            images=views.contiguous(memory_format=torch.channels_last), targets=train.labels[index].to(ctx.device)
        )
        ctx.progress(epoch * len(order) + step + 1, settings.epochs * len(order))


def checkpoint_digest(path: str) -> str:
    """Return the SHA-256 of a checkpoint file, by which a stored teacher knows what it was made from."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


SQUEEZE = Stage(name="squeeze", version=1, run=squeeze, output=Teacher)
