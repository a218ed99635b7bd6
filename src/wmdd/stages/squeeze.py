"""Stage 1, squeeze: train a classifier on the real images, or take one that the user brings.

The teacher carries its class order and its normalisation; whoever uses it checks both. Training follows the reference
code (SGD, cosine, random resized crops and flips); all numbers are settings.
"""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import nn

from wmdd.context import Context, seeded, stream_seed
from wmdd.data.inputs import InputForm, Normalisation
from wmdd.data.loading import channel_moments, fetch_batches, shuffled, to_float
from wmdd.data.views import crop_and_flip, draw_views
from wmdd.evaluation.accuracy import accuracies
from wmdd.models.building import build_model, network_spec
from wmdd.models.checkpoints import Pretrained, load_checkpoint, pretrained_model
from wmdd.settings import SqueezeSettings, ViewSettings
from wmdd.stages.stage import Stage
from wmdd.training.loop import Batch, Task, fit, test_epochs
from wmdd.training.losses import label_loss
from wmdd.values import ImageSet, ModelSpec, Teacher

NUM_TESTS = 5


def squeeze(train: ImageSet, val: ImageSet, settings: SqueezeSettings, *, ctx: Context | None = None) -> Teacher:
    """Return a teacher for `train`, tested on `val`, which chooses nothing; with a checkpoint nothing is trained.

    Raises:
        ConfigError: the architecture is unknown, or the checkpoint does not fit it or the classes.
    """
    ctx = ctx or Context()
    spec = network_spec(settings.arch, train, settings.stem)
    start = _begin(train, spec, settings, ctx)
    form = Normalisation(image_size=spec.image_size, mean=start.mean, std=start.std)
    model = start.model.to(ctx.device).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def test(model: nn.Module) -> dict[str, float]:
        return accuracies(model, val, form, ctx)

    if not start.complete:
        model = _train(model, train, form, settings, test=test, ctx=ctx)
    top1 = test(model.eval())["top1"]
    ctx.log(unit="teacher", top1=top1)
    return as_teacher(model, spec, train, form, top1=top1)


def as_teacher(model: nn.Module, spec: ModelSpec, train: ImageSet, form: InputForm, *, top1: float) -> Teacher:
    """Return the record of a network that was trained on `train` under the normalisation of `form`."""
    weights = {name: value.detach().cpu().contiguous().clone() for name, value in model.state_dict().items()}
    return Teacher(spec=spec, weights=weights, classes=train.classes, mean=form.mean, std=form.std, top1=top1)


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


def _train(
    model: nn.Module,
    train: ImageSet,
    form: InputForm,
    settings: SqueezeSettings,
    *,
    test: Callable[[nn.Module], dict[str, float]],
    ctx: Context,
) -> nn.Module:
    batch = min(settings.batch, len(train))
    task = Task(
        name="teacher",
        steps=len(train) // batch,
        batches=lambda epoch: _epoch(train, form, settings, epoch, ctx=ctx),
        loss=lambda logits, batch: label_loss(logits, batch.targets, settings.label_smoothing),
        test=test,
        tests=test_epochs(settings.epochs, NUM_TESTS),
    )
    return fit(model, task, settings, ctx=ctx).model


def _epoch(train: ImageSet, form: InputForm, settings: SqueezeSettings, epoch: int, *, ctx: Context) -> Iterator[Batch]:
    """Yield the batches of one epoch: shuffled, cropped, flipped; a last short batch is dropped."""
    chosen = ViewSettings(crop_min=settings.crop_min, flip=settings.flip)
    batch = min(settings.batch, len(train))
    order = shuffled(len(train), batch, ctx.generator("order", epoch), drop_last=True)
    fetched = fetch_batches(train, order, workers=ctx.workers, device=ctx.device)
    for step, (index, images) in enumerate(fetched):
        drawn = draw_views(index, train.canvas, train.image_size, chosen, ctx.generator("views", epoch, step))
        views = crop_and_flip(to_float(images, form.mean, form.std), drawn.crop, drawn.flip, train.image_size)
        yield Batch(
            images=views.contiguous(memory_format=torch.channels_last), targets=train.labels[index].to(ctx.device)
        )
        ctx.progress(epoch * len(order) + step + 1, settings.epochs * len(order))


def checkpoint_digest(path: str) -> str:
    """Return the SHA-256 of a checkpoint file, by which a stored teacher knows what it was made from."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


SQUEEZE = Stage(name="squeeze", version=1, run=squeeze, output=Teacher)
