"""RDED: the random crops of real images that the teacher finds easiest, tiled; nothing is optimised.

For class c (Sun et al., CVPR 2024, arXiv:2312.03526): draw images, and of each some square crops r, resized to the side
of a tile; s(r) = CE(f(pad(r)), c), padded to the full side with the mean colour; keep each image's crop of lowest loss,
and of these the ipc factor² of lowest loss; tile k of distilled image i is the crop of rank k ipc + i, as in the
reference code, so that every image has its share of the easiest.

Differs from the reference code: crops are cut from the stored canvas, not from the whole picture; the pixels that are
scored are those that are kept, rounded to uint8, PNG instead of JPEG; where a class has too few images, second-best
crops follow after all the best ones (the reference code fails); tiles of a side that `factor` does not divide are
rounded up and the last ones trimmed.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wmdd.context import Context, Saved, sent
from wmdd.data.loading import fetch_batches, to_float
from wmdd.errors import DataError
from wmdd.evaluation.accuracy import BATCH
from wmdd.methods.algorithm import Algorithm, Result, Size, Stages, Work
from wmdd.methods.kits.tiles import cut, tile_images
from wmdd.methods.rded import RdedSettings
from wmdd.models.building import build_teacher
from wmdd.settings import Recipe
from wmdd.stages.classes import class_by_class
from wmdd.stages.relabel import teacher_logits
from wmdd.stages.stage import Stage
from wmdd.training.pixels import class_major_set
from wmdd.values import DistilledSet, ImageSet, Teacher

_SMALL = 64
"""Sides up to this many pixels hold one crop unless `factor` says otherwise: RDED's rule, CIFAR and Tiny-ImageNet."""


def rded(
    train: ImageSet, teacher: Teacher, settings: RdedSettings, *, ipc: int, ctx: Context | None = None
) -> DistilledSet:
    """Return `ipc` images of each class, tiled from the crops that the teacher finds easiest, all of equal weight.

    The unit of work is a class. Memory holds the boxes of a class's crops and the pixels of a batch of them.

    Raises:
        DataError: teacher and images disagree about classes, or a class has too few images for its tiles.
    """
    ctx = ctx or Context()
    teacher.require_classes(train.classes)
    factor = settings.factor or (1 if train.image_size <= _SMALL else 2)
    model = build_teacher(teacher, ctx.device)
    tiling = _Tiling(model=model, train=train, teacher=teacher, settings=settings, factor=factor, ipc=ipc, ctx=ctx)
    found = class_by_class(
        lambda label: Saved(tensors={"images": tiling.of_class(label)}, facts={}), len(train.classes), ctx=ctx
    )
    return class_major_set("rded", found.tensors["images"].flatten(0, 1), teacher)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tiling:
    """Makes the images of a class."""

    model: nn.Module
    train: ImageSet
    teacher: Teacher
    settings: RdedSettings
    factor: int
    ipc: int
    ctx: Context

    @property
    def side(self) -> int:
        """Of a tile in pixels."""
        return -(-self.train.image_size // self.factor)

    def of_class(self, label: int) -> Tensor:
        """Return the distilled images of a class, uint8 `(ipc, ch, R, R)`."""
        settings, train, generator = self.settings, self.train, self.ctx.generator(label)
        members, tiles = train.of_class(label), self.ipc * self.factor**2
        count = min(len(members), max(settings.sample, tiles))
        if count * settings.crops < tiles:
            raise DataError(
                f"class {train.classes[label]!r} has too few crops for its tiles; got {count} images, "
                f"{settings.crops} crops of each and {tiles} tiles; raise rded.crops, or lower --ipc or rded.factor"
            )
        sampled = members[torch.randperm(len(members), generator=generator)[:count]]
        boxes = draw_squares(count * settings.crops, train.canvas, settings.crop_min, generator)
        boxes = boxes.view(count, settings.crops, 3)
        losses = self._losses(sampled, boxes, label)
        image, crop = easiest(losses, tiles)
        self.ctx.log(unit=f"class {label}", loss=float(losses[image, crop].mean()), loss_of_all=float(losses.mean()))
        pixels = train.images.fetch(sampled[image].tolist())
        return tile_images(cut(pixels, boxes[image, crop], self.side), self.factor, train.image_size)

    def _losses(self, sampled: Tensor, boxes: Tensor, label: int) -> Tensor:
        """Return the teacher's cross-entropy of every crop, float32 `(n, crops)`; boxes are `(n, crops, 3)`."""
        train, teacher, device = self.train, self.teacher, self.ctx.device
        rows = max(1, BATCH // self.settings.crops)
        losses: list[Tensor] = []
        fetched = fetch_batches(train, sampled.split(rows), workers=self.ctx.workers)
        for (_, pixels), some in zip(fetched, boxes.split(rows), strict=True):
            pixels = pixels.repeat_interleave(self.settings.crops, dim=0)
            crops = sent(cut(pixels, some.flatten(0, 1), self.side), device)
            inputs = pad_centred(to_float(crops, teacher.mean, teacher.std), train.image_size)
            logits = teacher_logits(self.model, inputs, self.ctx)
            losses.append(F.cross_entropy(logits, torch.full((len(logits),), label), reduction="none"))
        return torch.cat(losses).view(boxes.shape[:2])


def draw_squares(count: int, canvas: int, crop_min: float, generator: torch.Generator) -> Tensor:
    """Return `count` random squares as int64 `(count, 3)` of (top, left, side), the area uniform in [crop_min, 1]."""
    draws = torch.rand(count, 3, dtype=torch.float64, generator=generator)
    area = crop_min + (1 - crop_min) * draws[:, 0]
    side = (canvas * area.sqrt()).round().clamp(min=1)
    corner = (draws[:, 1:] * (canvas - side + 1)[:, None]).floor()
    return torch.cat([corner, side[:, None]], dim=1).long()


def pad_centred(images: Tensor, size: int) -> Tensor:
    """Return normalised images in the middle of zeros, that is of the mean colour, `(B, ch, size, size)`."""
    missing = size - images.shape[-1]
    before, after = missing // 2, missing - missing // 2
    return F.pad(images, (before, after, before, after))


def easiest(losses: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return image and crop, int64 `(count,)` each, of the lowest of the losses `(n, crops)`, in rising order.

    Every image gives its best crop before any gives its second; ties go to the lower position.
    """
    ranked, crops = losses.sort(dim=1, stable=True)
    order = ranked.argsort(dim=0, stable=True)
    return order.T.flatten()[:count], crops.gather(0, order).T.flatten()[:count]


RDED = Stage(name="rded", version=1, run=rded, output=DistilledSet, workers="units")


def distill(stages: Stages, train: Result, teachers: tuple[Result, ...], recipe: Recipe) -> Result:
    """Choose the crops and tile them."""
    return stages.run(RDED, train, teachers[0], settings=recipe.of(RdedSettings), ipc=recipe.ipc)


def work(recipe: Recipe, size: Size) -> tuple[Work, ...]:
    """Count the crops that the teacher scores."""
    settings = recipe.of(RdedSettings)
    sampled = min(size.classes * settings.sample, size.images)
    return (Work(arch=recipe.squeeze.arch, forward=sampled * settings.crops),)


ALGORITHM = Algorithm(distill=distill, work=work)
