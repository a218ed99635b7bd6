"""Residuals: at some steps a real image o is blended into each image, x <- (1 - a) x + a o, and the optimiser restarts.

FADRM (NeurIPS 2025) blends in the real image that the image started from, a = 1/2, three times in 2,000 steps. RETA
(CVPR 2026, arXiv:2602.24144) chooses it each time anew among the real images of the class:

    o = argmin (1 - c) || phi(x)/|phi(x)| - phi(o)/|phi(o)| ||²  +  c Var(|| grad(G_s * o) ||²)

with the teacher's features phi, c = 1/10, a Gaussian G_s, and the variance over positions. What we have of RETA is a
summary, so three things are guesses: s = 1 pixel; o is normalised as the teacher's inputs are, the squared gradient is
a sum over channels and both directions; and o is the whole image as the teacher sees it. FADRM also changes the
resolution (200 and 224 pixels by turns); here it stays.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.transforms.functional import gaussian_blur

from wmdd.context import Context, sent
from wmdd.data.inputs import network_inputs
from wmdd.data.loading import fetch_batches, require_same_images
from wmdd.models.taps import features_and_logits
from wmdd.settings import InversionSettings
from wmdd.stages.recovery.groups import Group
from wmdd.training.pixels import start_images
from wmdd.values import ClassStatistics, ImageSet, Teacher

BLUR = 1.0
"""Standard deviation of the Gaussian, in pixels."""
KERNEL = 7
"""Its side in pixels: three standard deviations to both sides."""
BATCH = 256
Patches = Callable[[Group, Tensor, Tensor], Tensor]
"""Group, what its images started from, what they are now → a real image for each; all normalised, `(G·K, ch, R, R)`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Residuals:
    """What is blended into images on the way, and how often."""

    count: int
    share: float
    """Of the real image."""
    patches: Patches

    def blend(self, group: Group, start: Tensor, images: Tensor) -> Tensor:
        """Return the images of a group with the share of real ones; `start` is what they began from."""
        return images.lerp(self.patches(group, start, images), self.share)


def residuals_of(
    train: ImageSet,
    teacher: Teacher,
    model: nn.Module,
    statistics: ClassStatistics,
    settings: InversionSettings,
    *,
    ctx: Context,
) -> Residuals:
    """Return the residuals that settings ask for; `model` is the teacher's network, `statistics` are of `train`."""

    def of_start(group: Group, start: Tensor, images: Tensor) -> Tensor:
        del images
        if settings.start != "noise":
            return start
        real = start_images(train, teacher, group.labels, group.ipc, start="real", ctx=ctx, first=group.first)
        return sent(real, start.device)

    weight, share = settings.residual_complexity, settings.residual_share
    retrieval = Retrieval(train=train, teacher=teacher, model=model, statistics=statistics, weight=weight, ctx=ctx)
    patches = {"start": of_start, "retrieved": retrieval.patches()}
    return Residuals(count=settings.residuals, share=share, patches=patches[settings.residual_from])


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """Chooses a real image of the class for each image: RETA's dynamic retrieval."""

    train: ImageSet
    teacher: Teacher
    model: nn.Module
    statistics: ClassStatistics
    weight: float
    """Of complexity."""
    ctx: Context

    def patches(self) -> Patches:
        """Return what chooses; the complexity of a class's images is computed once."""
        complexities = cache(self._complexities)

        def chosen(group: Group, start: Tensor, images: Tensor) -> Tensor:
            del start
            require_same_images(self.train, self.statistics.counts)
            positions = [
                self.train.of_class(label)[
                    retrieve(features, self.statistics.of_class(label).double(), complexities(label), self.weight)
                ]
                for label, features in zip(group.labels, self._features(images).split(group.ipc), strict=True)
            ]
            real = network_inputs(self.train.images.fetch(torch.cat(positions).tolist()), self.teacher)
            return sent(real, images.device)

        return chosen

    def _features(self, images: Tensor) -> Tensor:
        """Return the teacher's features of whole images, float64 `(G·K, D)` on the CPU."""
        with torch.no_grad(), self.ctx.autocast():
            features, _ = features_and_logits(self.model, images.contiguous(memory_format=torch.channels_last))
        return features.double().cpu()

    def _complexities(self, label: int) -> Tensor:
        """Return the complexity of each image of a class, float64 `(n,)`; zeros where it does not count."""
        members = self.train.of_class(label)
        if self.weight == 0:
            return torch.zeros(len(members), dtype=torch.float64)
        batches = fetch_batches(self.train, members.split(BATCH), workers=self.ctx.workers)
        return torch.cat([complexity(network_inputs(pixels, self.teacher)) for _, pixels in batches]).double()


def retrieve(features: Tensor, real: Tensor, complexities: Tensor, weight: float) -> Tensor:
    """Return for each of K images the real one of least score, int64 `(K,)`, the first of equals.

    Args:
        features: `(K, D)`.
        real: `(n, D)`, features of the real images.
        complexities: `(n,)`.
        weight: c of the complexity.
    """
    distances = 2 - 2 * F.normalize(features, dim=1) @ F.normalize(real, dim=1).T
    return ((1 - weight) * distances + weight * complexities).argmin(dim=1)


def complexity(images: Tensor) -> Tensor:
    """Return the variance over positions of the squared gradient of blurred images `(B, ch, R, R)`, `(B,)`.

    The gradient has the differences to the right and the lower neighbour.
    """
    smooth = gaussian_blur(images, [KERNEL, KERNEL], [BLUR, BLUR])
    across = smooth[..., :-1, :].diff(dim=3)
    down = smooth[..., :, :-1].diff(dim=2)
    return (across.square() + down.square()).sum(dim=1).flatten(1).var(dim=1, correction=0)
