"""Real and distilled images of a class, as fresh random networks are given them, one after the other."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wmdd.context import Context
from wmdd.data.class_batches import ClassBatches
from wmdd.data.dsa import apply_dsa, draw_dsa
from wmdd.methods.kits.settings import MatchingSettings
from wmdd.models.batchnorm import batchnorm_layers, recalibrate_batchnorm
from wmdd.models.building import network_spec
from wmdd.values import ImageSet, ModelSpec, Teacher

BATCHNORM_IMAGES = 16
"""Real images of each class by which BatchNorm layers are recalibrated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiameseBatches:
    """Inputs of a random network in a step: real and distilled images of a class under one Siamese transform."""

    spec: ModelSpec
    real: ClassBatches
    settings: MatchingSettings
    ctx: Context

    @staticmethod
    def of(train: ImageSet, teacher: Teacher, settings: MatchingSettings, ctx: Context) -> "SiameseBatches":
        """Return those of `train`, normalised as for `teacher`."""
        real = ClassBatches(images=train, form=teacher, device=ctx.device)
        return SiameseBatches(
            spec=network_spec(settings.arch, train, teacher.spec.stem), real=real, settings=settings, ctx=ctx
        )

    def pair(self, images: Tensor, label: int, step: int) -> tuple[Tensor, Tensor]:
        """Return real images of class `label` and the distilled ones `(K, ch, R, R)` under one Siamese transform."""
        real = self.real.draw(label, self.settings.batch_real, self.ctx.generator("real", step, label))
        transform = draw_dsa(self.settings.strategy, images.shape[-1], 1, self.ctx.generator("dsa", step, label))
        return apply_dsa(real, transform), apply_dsa(images, transform)

    def recalibrate(self, model: nn.Module, step: int) -> None:
        """Let BatchNorm layers, if there are any, normalise by real images of all classes: one class would not do."""
        if not batchnorm_layers(model):
            return
        labels = range(self.spec.num_classes)
        streams = (self.ctx.generator("batchnorm", step, label) for label in labels)
        few = [self.real.draw(label, BATCHNORM_IMAGES, stream) for label, stream in zip(labels, streams, strict=True)]
        recalibrate_batchnorm(model, (torch.cat(few),))
