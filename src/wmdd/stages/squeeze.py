"""Stage 1, squeeze: train a classifier on the real images, or take one that the user brings.

The teacher carries its class order and its normalisation; whoever uses it checks both. Training follows the reference code
(SGD, cosine, random resized crops and flips); all numbers are settings.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from wmdd.context import Context, stream_seed
from wmdd.data.loading import channel_moments, fetch_batches, shuffled, to_float
from wmdd.data.views import draw_views, look
from wmdd.models import build_model, load_checkpoint, pretrained_model, resolve_spec
from wmdd.settings import SqueezeSettings, ViewSettings
from wmdd.stages._stage import Stage
from wmdd.stages._testing import accuracy
from wmdd.training.loop import Batch, Task, fit, test_epochs
from wmdd.training.losses import label_loss
from wmdd.training.randomness import seeded
from wmdd.values import ImageSet, ModelSpec, Teacher

NUM_TESTS = 5


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
    spec = resolve_spec(
        settings.arch,
        num_classes=len(train.classes),
        channels=train.channels,
        image_size=train.image_size,
        stem=settings.stem,
    )
    mean, std = channel_moments(train)
    with seeded(stream_seed(ctx.seed, ctx.stage, "weights"), torch.device("cpu")):
        model = build_model(spec)
    if settings.checkpoint is not None:
        model.load_state_dict(load_checkpoint(Path(settings.checkpoint), spec))
    elif settings.pretrained:
        model, mean, std = pretrained_model(spec)
    model = model.to(ctx.device, memory_format=torch.channels_last)
    if settings.checkpoint is None:
        model = _train(model, train, val, settings, (mean, std), ctx)
    top1, _ = accuracy(model.eval(), val, mean, std, ctx)
    ctx.log(unit="teacher", top1=top1)
    return _teacher(model, spec, train, mean, std, top1)


def _teacher(
    model: nn.Module, spec: ModelSpec, train: ImageSet, mean: tuple[float, ...], std: tuple[float, ...], top1: float
) -> Teacher:
    """Pack a trained model."""
    weights = {name: value.detach().cpu().contiguous().clone() for name, value in model.state_dict().items()}
    return Teacher(spec=spec, weights=weights, classes=train.classes, mean=mean, std=std, top1=top1)


def _train(
    model: nn.Module,
    train: ImageSet,
    val: ImageSet,
    settings: SqueezeSettings,
    normalisation: tuple[tuple[float, ...], tuple[float, ...]],
    ctx: Context,
) -> nn.Module:
    """Train the teacher."""
    mean, std = normalisation
    batch = min(settings.batch, len(train))

    def batches(epoch: int) -> Iterator[Batch]:
        return _epoch(train, batch, epoch, settings, normalisation, ctx)

    def test(model: nn.Module) -> dict[str, float]:
        top1, top5 = accuracy(model, val, mean, std, ctx)
        return {"top1": top1, "top5": top5}

    def loss(logits: Tensor, batch: Batch) -> Tensor:
        return label_loss(logits, batch.targets, settings.label_smoothing)

    task = Task(
        name="teacher",
        steps=len(train) // batch,
        batches=batches,
        loss=loss,
        test=test,
        tests=test_epochs(settings.epochs, NUM_TESTS),
    )
    return fit(model, task, settings, ctx=ctx).model


def _epoch(
    train: ImageSet,
    batch: int,
    epoch: int,
    settings: SqueezeSettings,
    normalisation: tuple[tuple[float, ...], tuple[float, ...]],
    ctx: Context,
) -> Iterator[Batch]:
    """Yield the batches of one epoch: shuffled, cropped, flipped; a last short batch is dropped."""
    views = ViewSettings(crop_min=settings.crop_min, flip=settings.flip)
    order = shuffled(len(train), batch, ctx.generator("order", epoch), drop_last=True)
    fetched = fetch_batches(train, order, workers=ctx.workers, device=ctx.device)
    for step, (index, images) in enumerate(fetched):
        drawn = draw_views(index, train.canvas, train.image_size, views, ctx.generator("views", epoch, step))
        looks = look(to_float(images, *normalisation), drawn.crop, drawn.flip, train.image_size)
        yield Batch(
            images=looks.contiguous(memory_format=torch.channels_last), targets=train.labels[index].to(ctx.device)
        )
        ctx.progress(epoch * len(order) + step + 1, settings.epochs * len(order))


def checkpoint_digest(path: str) -> str:
    """Return the SHA-256 of a checkpoint file, by which a stored teacher knows what it was made from."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


SQUEEZE = Stage(name="squeeze", version=1, run=squeeze, output=Teacher)
