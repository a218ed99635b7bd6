"""Squeeze without labels: a backbone that learns to tell images apart, and a last layer that learns the classes.

SCDD (Zhou et al. 2024, arXiv:2404.07976) takes self-supervised backbones for the teacher, frozen, with a linear probe:
their BatchNorm statistics vary more between channels. Here the backbone is SimCLR's (Chen et al., ICML 2020): two views
of each image, a projection of two layers that is thrown away afterwards, NT-Xent. The reference uses MoCo, SwAV and
DINO with ResNet-50; SimCLR needs neither a queue nor a second network, which suits small sets.

After the pretraining one pass over the images as they are renews the running statistics of the BatchNorm layers, which
else would be those of cropped and recoloured views.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wmdd.context import Context, seeded, stream_seed
from wmdd.data.dsa import apply_dsa, draw_dsa
from wmdd.data.loading import centre_crop, channel_moments, fetch_batches, in_order, shuffled, to_float
from wmdd.data.views import crop_and_flip, draw_views
from wmdd.evaluation.accuracy import BATCH, accuracies
from wmdd.methods.scdd import ScddSettings, SelfSupervisedSettings
from wmdd.methods.scdd.contrastive import nt_xent
from wmdd.models.batchnorm import recalibrate_batchnorm
from wmdd.models.building import build_model
from wmdd.models.stems import replace
from wmdd.models.taps import final_classifier
from wmdd.settings import TrainSettings, ViewSettings
from wmdd.stages.squeeze import as_teacher, teacher_spec
from wmdd.stages.stage import Stage
from wmdd.training.loop import Batch, Task, fit
from wmdd.training.losses import label_loss
from wmdd.values import ImageSet, ModelSpec, Teacher


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What both trainings need."""

    train: ImageSet
    spec: ModelSpec
    settings: ScddSettings
    mean: tuple[float, ...]
    std: tuple[float, ...]
    ctx: Context

    @property
    def batch(self) -> int:
        """Images a step."""
        return min(self.settings.batch, len(self.train))


def selfsupervised(
    train: ImageSet, val: ImageSet, settings: SelfSupervisedSettings, *, ctx: Context | None = None
) -> Teacher:
    """Return a teacher whose backbone has seen no label of `train`, tested on `val`.

    The unit of work is an epoch of either training.

    Args:
        train: images to learn from.
        val: images to test on; they choose nothing.
        settings: network and both trainings.
        ctx: surroundings.

    Raises:
        ConfigError: the architecture is unknown, or the images do not suit it.
        NumericsError: a loss is not finite any more.
    """
    ctx = ctx or Context()
    spec = teacher_spec(train, settings)
    mean, std = channel_moments(train)
    job = _Job(train=train, spec=spec, settings=settings.training, mean=mean, std=std, ctx=ctx)
    network = _backbone(job)
    model = network.with_head(_probe(job, _features(job, network.model)))
    top1 = accuracies(model.eval(), val, mean, std, ctx)["top1"]
    ctx.log(unit="teacher", top1=top1)
    return as_teacher(model, spec, train, normalisation=(mean, std), top1=top1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Network:
    """A network, and the name of what stands last in it."""

    model: nn.Module
    last: str

    def with_head(self, head: nn.Module) -> nn.Module:
        """Put `head` in the last place and return the model."""
        replace(self.model, self.last, head)
        return self.model


def _backbone(job: _Job) -> _Network:
    """Return the network with a backbone that is trained without labels, frozen, and nothing behind it."""
    network = _drawn(job)
    saved = job.ctx.restore("backbone")
    if saved is None:
        _pretrain(job, network.model)
        model = network.with_head(nn.Identity())
        order = shuffled(len(job.train), job.batch, job.ctx.generator("settle"), drop_last=True)
        recalibrate_batchnorm(model, (images for _, images in _plain(job, order)))
        job.ctx.save("backbone", model.state_dict())
    else:
        network.with_head(nn.Identity()).load_state_dict(dict(saved.tensors))
    network.model.eval().requires_grad_(False)
    return network


def _drawn(job: _Job) -> _Network:
    """Return a fresh network that ends in SimCLR's projection."""
    with seeded(stream_seed(job.ctx.seed, job.ctx.stage, "weights"), torch.device("cpu")):
        model = build_model(job.spec)
        classifier = final_classifier(model)
        width = classifier.in_features
        head = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, job.settings.projection))
    last = next(name for name, module in model.named_modules() if module is classifier)
    replace(model, last, head)
    model = model.to(job.ctx.device).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return _Network(model=model, last=last)


def _pretrain(job: _Job, model: nn.Module) -> None:
    """Train backbone and projection, in place, to find the other view of each image."""
    settings = job.settings
    task = Task(
        name="backbone without labels",
        steps=len(job.train) // job.batch,
        batches=lambda epoch: _pairs(job, epoch),
        loss=lambda vectors, _: nt_xent(vectors, settings.temperature),
        test=lambda _: {},
        tests=frozenset(),
    )
    training = TrainSettings(epochs=settings.epochs, lr=settings.lr, weight_decay=settings.weight_decay)
    fit(model, task, training, ctx=job.ctx)


def _pairs(job: _Job, epoch: int) -> Iterator[Batch]:
    """Yield the batches of an epoch: of each image a first view, then of each a second one."""
    ctx = job.ctx
    order = shuffled(len(job.train), job.batch, ctx.generator("order", epoch), drop_last=True)
    fetched = fetch_batches(job.train, order, workers=ctx.workers, device=ctx.device)
    for step, (index, pixels) in enumerate(fetched):
        images, generator = to_float(pixels, job.mean, job.std), ctx.generator("views", epoch, step)
        both = torch.cat([_view(job, index, images, generator) for _ in range(2)])
        yield Batch(images=both.contiguous(memory_format=torch.channels_last), targets=index)
    ctx.progress(epoch + 1, job.settings.epochs)  # the last layer takes next to nothing after that


def _view(job: _Job, index: Tensor, images: Tensor, generator: torch.Generator) -> Tensor:
    """Return one random view of each image: cropped, mirrored, recoloured."""
    views = ViewSettings(crop_min=job.settings.crop_min, flip=job.settings.flip)
    drawn = draw_views(index, job.train.canvas, job.train.image_size, views, generator)
    looks = crop_and_flip(images, drawn.crop, drawn.flip, job.train.image_size)
    changed = apply_dsa(looks, draw_dsa("color", job.train.image_size, len(index), generator))
    chosen = torch.rand(len(index), generator=generator) < job.settings.color
    return torch.where(chosen.to(looks.device).view(-1, 1, 1, 1), changed, looks)


def _plain(job: _Job, batches: list[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield positions and images as they are, normalised."""
    ctx = job.ctx
    for index, pixels in fetch_batches(job.train, batches, workers=ctx.workers, device=ctx.device):
        images = to_float(centre_crop(pixels, job.train.image_size), job.mean, job.std)
        yield index, images.contiguous(memory_format=torch.channels_last)


def _features(job: _Job, model: nn.Module) -> Tensor:
    """Return the features of all images, `(N, D)`, on the CPU."""
    parts: list[Tensor] = []
    with torch.inference_mode(), job.ctx.autocast():
        for _, images in _plain(job, in_order(len(job.train), BATCH)):
            parts.append(model(images).float().cpu())
    return torch.cat(parts)


def _probe(job: _Job, features: Tensor) -> nn.Module:
    """Return a last layer that is trained on features `(N, D)` with labels."""
    ctx, settings = job.ctx, job.settings
    with seeded(stream_seed(ctx.seed, ctx.stage, "probe"), torch.device("cpu")):
        layer = nn.Linear(features.shape[1], job.spec.num_classes)

    def batches(epoch: int) -> Iterator[Batch]:
        for index in shuffled(len(features), job.batch, ctx.generator("probe", epoch)):
            yield Batch(images=features[index].to(ctx.device), targets=job.train.labels[index].to(ctx.device))

    task = Task(
        name="last layer",
        steps=-(-len(features) // job.batch),
        batches=batches,
        loss=lambda logits, batch: label_loss(logits, batch.targets),
        test=lambda _: {},
        tests=frozenset(),
    )
    training = TrainSettings(epochs=settings.probe_epochs, optimiser="adamw", lr=settings.probe_lr, weight_decay=0.0)
    return fit(layer.to(ctx.device), task, training, ctx=ctx).model


SELF_SUPERVISED = Stage(name="selfsupervised", version=1, run=selfsupervised, output=Teacher)
