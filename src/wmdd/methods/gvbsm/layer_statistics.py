"""Targets of G-VBSM: moments of what enters each BatchNorm and each convolution, in one pass over the real images.

Differs from the reference code, which averages the variances within batches of augmented images, and takes the running
buffers of BatchNorm layers: these are exact moments of the images as they are, independent of batches and order.
"""

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]

from wmdd.context import Context, Saved
from wmdd.data.loading import class_counts
from wmdd.models.building import build_teacher
from wmdd.models.streaming_moments import LayerMoments
from wmdd.models.taps import tap_inputs
from wmdd.settings import StatisticsSettings
from wmdd.stages.classes import class_by_class
from wmdd.stages.recovery.groups import merge_classes
from wmdd.stages.stage import Stage
from wmdd.stages.statistics import pass_images
from wmdd.values import ImageSet, LayerStatistics, Teacher

PATCH = 4
"""Side of a patch in pixels of the feature map (G-VBSM, CVPR 2024)."""


def layer_statistics(
    train: ImageSet, teacher: Teacher, settings: StatisticsSettings, *, ctx: Context | None = None
) -> LayerStatistics:
    """Return the moments of `train` in the layers of `teacher`.

    The unit of work is a class. Networks run in fp32 here whatever the context's precision: these are the targets.

    Raises:
        DataError: teacher and images disagree about classes.
    """
    ctx = ctx or Context()
    teacher.require_classes(train.classes)
    model = build_teacher(teacher, ctx.device)
    layers = statistic_layers(model)
    first = [sum(len(kinds) for *_, kinds in layers[:position]) for position in range(len(layers))]

    def one_class(label: int) -> Saved:
        moments = LayerMoments()

        def take(position: int, x: Tensor) -> None:
            for offset, kind in enumerate(layers[position][2]):
                moments.take(first[position] + offset, as_channels(x, kind))

        tap = tap_inputs((layer for _, layer, _ in layers), take)
        pass_images(model, train, teacher, train.of_class(label), tap=tap, batch=settings.batch, ctx=ctx)
        return Saved(tensors=moments.tensors(), facts={"widths": moments.widths})

    found = class_by_class(one_class, len(train.classes), ctx=ctx)
    means, variances = merge_classes(class_counts(train), found.tensors["mean"], found.tensors["variance"])
    names = [(name, kind) for name, _, kinds in layers for kind in kinds]
    return LayerStatistics(
        layers=tuple(name for name, _ in names),
        kinds=tuple(kind for _, kind in names),
        widths=tuple(found.facts["widths"][0]),
        means=means[0],
        variances=variances[0],
    )


def statistic_layers(model: nn.Module) -> list[tuple[str, nn.Module, tuple[str, ...]]]:
    """Return name, module and kinds of statistics of every BatchNorm (channels) and convolution (channels, patches)."""
    kinds = (
        (name, module, ("channels",) if isinstance(module, _BatchNorm) else ("channels", "patches"))
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm | nn.Conv2d)
    )
    return list(kinds)


def as_channels(x: Tensor, kind: str) -> Tensor:
    """Return a layer's input `(B, F, ...)` so that the axis whose moments are wanted is the second.

    `channels`: as it is. `patches`: `(B, cells, F * 16)`, the map enlarged bilinearly to sides that are multiples of 4
    and cut in cells of 4 x 4, row by row; a cell's moments are over images, channels and its 16 pixels.
    """
    if kind == "channels":
        return x
    height, width = (-(-side // PATCH) for side in x.shape[2:])
    if x.shape[2:] != (height * PATCH, width * PATCH):
        x = F.interpolate(x, (height * PATCH, width * PATCH), mode="bilinear", align_corners=False)
    cells = x.reshape(len(x), x.shape[1], height, PATCH, width, PATCH).permute(0, 2, 4, 1, 3, 5)
    return cells.reshape(len(x), height * width, -1)


LAYER_STATISTICS = Stage(
    name="layer_statistics",
    version=1,
    run=layer_statistics,
    output=LayerStatistics,
    seeded=False,
    networks=False,
    workers="units",
)
