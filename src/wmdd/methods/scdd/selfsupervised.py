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
import torch.nn.functional as F
from torch import Tensor, nn

from wmdd.context import Context, seeded, sent, stream_seed
from wmdd.data.dsa import apply_dsa, draw_dsa
from wmdd.data.inputs import InputForm, Normalisation, network_inputs
from wmdd.data.loading import batch_spans, channel_moments, fetch_batches, in_order, shuffled, to_float
from wmdd.data.views import crop_and_flip, draw_views
from wmdd.evaluation.accuracy import BATCH, accuracies
from wmdd.methods.scdd import PretrainingSettings, SelfSupervisedSettings
from wmdd.models.batchnorm import recalibrate_batchnorm
from wmdd.models.building import build_model, network_spec
from wmdd.models.stems import replace
from wmdd.models.taps import final_classifier
from wmdd.settings import TrainSettings, ViewSettings
from wmdd.stages.given_teacher import warn_of_chance
from wmdd.stages.squeeze import as_teacher
from wmdd.stages.stage import Stage
from wmdd.training.loop import Batch, Task, fit
from wmdd.training.losses import label_loss
from wmdd.values import ImageSet, ModelSpec, Teacher


@dataclass(frozen=True, slots=True, kw_only=True)
class _Inputs:
    """What both trainings take."""

    train: ImageSet
    spec: ModelSpec
    form: InputForm
    settings: PretrainingSettings
    ctx: Context

    @property
    def batch(self) -> int:
        """Images a step."""
        return min(self.settings.batch, len(self.train))


def selfsupervised(
    train: ImageSet, val: ImageSet, settings: SelfSupervisedSettings, *, ctx: Context | None = None
) -> Teacher:
    """Return a teacher whose backbone was trained without the labels of `train`, tested on `val`.

    Validation images choose nothing. The unit of work is an epoch of either training.

    Raises:
        ConfigError: the architecture is unknown, or the images do not suit it.
        NumericsError: a loss is not finite any more.
    """
    ctx = ctx or Context()
    spec = network_spec(settings.arch, train, settings.stem)
    mean, std = channel_moments(train)
    form = Normalisation(image_size=spec.image_size, mean=mean, std=std)
    inputs = _Inputs(train=train, spec=spec, form=form, settings=settings.training, ctx=ctx)
    network = _backbone(inputs)
    model = network.with_head(_probe(inputs, _features(inputs, network.model)))
    top1 = accuracies(model.eval(), val, form, ctx)["top1"]
    warn_of_chance(settings.arch, val, top1, ctx)
    ctx.log(unit="teacher", top1=top1)
    return as_teacher(model, spec, train, form, top1=top1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Network:
    """A network, and the name of what stands last in it."""

    model: nn.Module
    last: str

    def with_head(self, head: nn.Module) -> nn.Module:
        """Put `head` in the last place and return the model."""
        replace(self.model, self.last, head)
        return self.model


def _backbone(inputs: _Inputs) -> _Network:
    """Return the network with a backbone that is trained without labels, frozen, and nothing behind it."""
    network = _drawn(inputs)
    saved = inputs.ctx.restore("backbone")
    if saved is None:
        _pretrain(inputs, network.model)
        model = network.with_head(nn.Identity())
        order = shuffled(len(inputs.train), inputs.batch, inputs.ctx.generator("settle"), drop_last=True)
        recalibrate_batchnorm(model, (images for _, images in _plain(inputs, order)))
        inputs.ctx.save("backbone", model.state_dict())
    else:
        network.with_head(nn.Identity()).load_state_dict(dict(saved.tensors))
    network.model.eval().requires_grad_(False)
    return network


def _drawn(inputs: _Inputs) -> _Network:
    """Return a fresh network that ends in SimCLR's projection."""
    with seeded(stream_seed(inputs.ctx.seed, inputs.ctx.stage, "weights"), torch.device("cpu")):
        model = build_model(inputs.spec)
        classifier = final_classifier(model)
        width = classifier.in_features
        head = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, inputs.settings.projection))
    last = next(name for name, module in model.named_modules() if module is classifier)
    replace(model, last, head)
    model = model.to(inputs.ctx.device).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return _Network(model=model, last=last)


def _pretrain(inputs: _Inputs, model: nn.Module) -> None:
    """Train backbone and projection, in place, to find the other view of each image."""
    settings = inputs.settings
    task = Task(
        name="backbone without labels",
        steps=len(inputs.train) // inputs.batch,
        batches=lambda epoch: _pairs(inputs, epoch),
        loss=lambda vectors, _: nt_xent(vectors, settings.temperature),
    )
    training = TrainSettings(epochs=settings.epochs, lr=settings.lr, weight_decay=settings.weight_decay)
    fit(model, task, training, ctx=inputs.ctx)


def _pairs(inputs: _Inputs, epoch: int) -> Iterator[Batch]:
    """Yield the batches of an epoch: of each image a first view, then of each a second one."""
    ctx = inputs.ctx
    order = shuffled(len(inputs.train), inputs.batch, ctx.generator("order", epoch), drop_last=True)
    fetched = fetch_batches(inputs.train, order, workers=ctx.workers, device=ctx.device)
    for step, (index, pixels) in enumerate(fetched):
        images, generator = to_float(pixels, inputs.form.mean, inputs.form.std), ctx.generator("views", epoch, step)
        both = torch.cat([_view(inputs, index, images, generator) for _ in range(2)])
        yield Batch(images=both.contiguous(memory_format=torch.channels_last), targets=index)
    ctx.progress(epoch + 1, inputs.settings.epochs)  # the last layer takes next to nothing after that


def nt_xent(vectors: Tensor, temperature: float) -> Tensor:
    """Return the normalised temperature-scaled cross-entropy (Chen et al., ICML 2020, eq. 1), a mean over 2B views.

    For view i with partner p: -log( exp(s_ip / tau) / sum_(j != i) exp(s_ij / tau) ), s the cosine of two vectors.

    Args:
        vectors: `(2B, P)`: rows b and B + b are the two views of one image.
        temperature: tau.
    """
    units = F.normalize(vectors.float(), dim=1)
    cosines = units @ units.T / temperature
    itself = torch.eye(len(units), dtype=torch.bool, device=units.device)
    partners = torch.arange(len(units), device=units.device).roll(len(units) // 2)
    return F.cross_entropy(cosines.masked_fill(itself, float("-inf")), partners)


def _view(inputs: _Inputs, index: Tensor, images: Tensor, generator: torch.Generator) -> Tensor:
    """Return one random view of each image: cropped, mirrored, recoloured."""
    views = ViewSettings(crop_min=inputs.settings.crop_min, flip=inputs.settings.flip)
    drawn = draw_views(index, inputs.train.canvas, inputs.train.image_size, views, generator)
    looks = crop_and_flip(images, drawn.crop, drawn.flip, inputs.train.image_size)
    changed = apply_dsa(looks, draw_dsa("color", inputs.train.image_size, len(index), generator))
    chosen = torch.rand(len(index), generator=generator) < inputs.settings.color
    return torch.where(sent(chosen, looks.device).view(-1, 1, 1, 1), changed, looks)


def _plain(inputs: _Inputs, batches: list[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    ctx = inputs.ctx
    for index, pixels in fetch_batches(inputs.train, batches, workers=ctx.workers, device=ctx.device):
        yield index, network_inputs(pixels, inputs.form).contiguous(memory_format=torch.channels_last)


def _features(inputs: _Inputs, model: nn.Module) -> Tensor:
    """Return the features of all images, `(N, D)`, on the CPU."""
    parts: list[Tensor] = []
    with torch.inference_mode(), inputs.ctx.autocast():
        for _, images in _plain(inputs, in_order(len(inputs.train), BATCH)):
            parts.append(model(images).float().cpu())
    return torch.cat(parts)


def _probe(inputs: _Inputs, features: Tensor) -> nn.Module:
    """Return a last layer that is trained on features `(N, D)` with labels."""
    ctx, settings = inputs.ctx, inputs.settings
    with seeded(stream_seed(ctx.seed, ctx.stage, "probe"), torch.device("cpu")):
        layer = nn.Linear(features.shape[1], inputs.spec.num_classes)

    def batches(epoch: int) -> Iterator[Batch]:
        for index in shuffled(len(features), inputs.batch, ctx.generator("probe", epoch)):
            labels = inputs.train.labels[index]
            yield Batch(images=sent(features[index], ctx.device), targets=sent(labels, ctx.device))

    task = Task(
        name="last layer",
        steps=len(batch_spans(len(features), inputs.batch)),
        batches=batches,
        loss=lambda logits, batch: label_loss(logits, batch.targets),
    )
    training = TrainSettings(epochs=settings.probe_epochs, optimiser="adamw", lr=settings.probe_lr, weight_decay=0.0)
    return fit(layer.to(ctx.device), task, training, ctx=ctx).model


SELF_SUPERVISED = Stage(name="selfsupervised", version=2, run=selfsupervised, output=Teacher)
