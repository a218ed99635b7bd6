"""Real and distilled images of a class, as fresh random networks are given them, one after the other."""

from dataclasses import dataclass

from torch import Tensor, nn

from wmdd.context import Context
from wmdd.data.class_batches import ClassBatches
from wmdd.data.dsa import apply_dsa, draw_dsa
from wmdd.methods.kits.settings import MatchingSettings
from wmdd.models.building import network_spec
from wmdd.training.recalibration import recalibrate_by_classes
from wmdd.values import ImageSet, ModelSpec, Teacher


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
        """Let BatchNorm layers, if there are any, normalise by real images of all classes, drawn for this step."""
        recalibrate_by_classes(model, self.real, lambda label: self.ctx.generator("batchnorm", step, label))
