"""Fresh random networks, one after the other, and what they are shown: real and distilled images of a class."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wmdd.context import Context, stream_seed
from wmdd.data.balanced import ClassBatches
from wmdd.data.dsa import apply_dsa, draw_dsa
from wmdd.models import batchnorm_layers, build_model, resolve_spec
from wmdd.settings import MatchingSettings
from wmdd.training.randomness import seeded
from wmdd.values import ImageSet, ModelSpec, Teacher

BATCHNORM_IMAGES = 16
"""Real images of each class by which BatchNorm layers are settled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encounters:
    """Where a random network meets real and distilled images; shared by gradient and mean matching."""

    spec: ModelSpec
    real: ClassBatches
    settings: MatchingSettings
    ctx: Context

    @staticmethod
    def of(train: ImageSet, teacher: Teacher, settings: MatchingSettings, ctx: Context) -> "Encounters":
        """Return those of `train`, normalised as for `teacher`."""
        real = ClassBatches(images=train, mean=teacher.mean, std=teacher.std, device=ctx.device)
        return Encounters(spec=network_spec(settings.arch, train, teacher), real=real, settings=settings, ctx=ctx)

    def pair(self, images: Tensor, label: int, step: int) -> tuple[Tensor, Tensor]:
        """Return real images of class `label` and the distilled ones `(K, ch, R, R)` under one Siamese transform."""
        real = self.real.draw(label, self.settings.batch_real, self.ctx.generator("real", step, label))
        transform = draw_dsa(self.settings.strategy, images.shape[-1], 1, self.ctx.generator("dsa", step, label))
        return apply_dsa(real, transform), apply_dsa(images, transform)

    def settle(self, model: nn.Module, step: int) -> None:
        """Let BatchNorm layers, if there are any, normalise by real images of all classes."""
        if not batchnorm_layers(model):
            return
        labels = range(self.spec.num_classes)
        streams = (self.ctx.generator("batchnorm", step, label) for label in labels)
        few = [self.real.draw(label, BATCHNORM_IMAGES, stream) for label, stream in zip(labels, streams, strict=True)]
        settle_batchnorm(model, torch.cat(few))


def network_spec(arch: str, train: ImageSet, teacher: Teacher) -> ModelSpec:
    """Return the specification of a network for `train`, with the teacher's stem, as students have it.

    Raises:
        ConfigError: the architecture is unknown, or the images do not suit it.
    """
    return resolve_spec(
        arch,
        num_classes=len(train.classes),
        channels=train.channels,
        image_size=train.image_size,
        stem=teacher.spec.stem,
    )


def fresh_network(spec: ModelSpec, iteration: int, ctx: Context) -> nn.Module:
    """Return the random network of an iteration, in train mode, on the device; it depends on nothing else."""
    with seeded(stream_seed(ctx.seed, ctx.stage, "network", iteration), torch.device("cpu")):
        model = build_model(spec)
    return model.to(ctx.device).train()


def settle_batchnorm(model: nn.Module, images: Tensor) -> None:
    """Let the BatchNorm layers normalise by the moments of `images` `(B, ch, R, R)` from now on, until `train()`.

    The moments of a batch of one class, or of one image, would be no such thing as the network meets in training.
    Differs from the reference code, which moves the running statistics a tenth of the way.
    """
    settle_on_batches(model, (images,))


def settle_on_batches(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Let the BatchNorm layers normalise by the mean of the batches' moments; each counts the same."""
    layers = [layer for _, layer in batchnorm_layers(model) if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d)]
    usual = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # cumulative
    with torch.no_grad():
        model.train()
        for images in batches:
            model(images)
    for layer, momentum in zip(layers, usual, strict=True):
        layer.momentum = momentum
        layer.eval()
