"""Targets of G-VBSM: moments of what enters each BatchNorm and each convolution, in one pass over the real images.

Differs from the reference code, which averages the variances within batches of augmented images, and takes the running
buffers of BatchNorm layers: these are exact moments of the images as they are, independent of batches and order.
"""

import torch
from torch import Tensor, nn

from wmdd.context import Context
from wmdd.data.inputs import network_inputs
from wmdd.data.loading import fetch_batches
from wmdd.methods.gvbsm.layers import as_channels, statistic_layers
from wmdd.models.building import build_teacher
from wmdd.models.streaming_moments import Moments
from wmdd.models.taps import tap_inputs
from wmdd.settings import StatisticsSettings
from wmdd.stages.recovery.targets import merge_classes
from wmdd.stages.stage import Stage
from wmdd.stages.statistics import merging
from wmdd.values import ImageSet, LayerStatistics, Teacher


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
    found: list[tuple[Tensor, Tensor]] = []
    widths: list[int] = []
    for label in range(len(train.classes)):
        saved = ctx.restore(f"class-{label:05d}")
        if saved is None:
            moments = _one_class(model, train, teacher, label, batch=settings.batch, ctx=ctx)
            tensors = {
                "mean": torch.cat([part.mean for part in moments]).cpu(),
                "variance": torch.cat([part.variance for part in moments]).cpu(),
            }
            widths = [len(part.mean) for part in moments]
            ctx.save(f"class-{label:05d}", tensors, widths=widths)
        else:
            tensors, widths = dict(saved.tensors), list(saved.facts["widths"])
        found.append((tensors["mean"], tensors["variance"]))
        ctx.progress(label + 1, len(train.classes))
    counts = [int((train.labels == label).sum()) for label in range(len(train.classes))]
    means, variances = merge_classes(counts, *(torch.stack(parts) for parts in zip(*found, strict=True)))
    names = [(name, kind) for name, _, kinds in statistic_layers(model) for kind in kinds]
    return LayerStatistics(
        layers=tuple(name for name, _ in names),
        kinds=tuple(kind for _, kind in names),
        widths=tuple(widths),
        means=means[0],
        variances=variances[0],
    )


def _one_class(
    model: nn.Module, train: ImageSet, teacher: Teacher, label: int, *, batch: int, ctx: Context
) -> list[Moments]:
    """Pass the images of one class through the teacher; return the moments of each term."""
    layers = statistic_layers(model)
    first = [sum(len(kinds) for *_, kinds in layers[:position]) for position in range(len(layers))]
    moments: dict[int, Moments] = {}
    take = merging(moments)

    def on_input(position: int, x: Tensor) -> None:
        for offset, kind in enumerate(layers[position][2]):
            take(first[position] + offset, as_channels(x, kind))

    batches = [part.tolist() for part in train.of_class(label).split(batch)]
    exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)  # TF32 would cost the targets three digits
    with exact, torch.inference_mode(), tap_inputs((layer for _, layer, _ in layers), on_input):
        for _, pixels in fetch_batches(train, batches, workers=ctx.workers, device=ctx.device):
            inputs = network_inputs(pixels, teacher)
            model(inputs.contiguous(memory_format=torch.channels_last))
    return [moments[term] for term in sorted(moments)]


LAYER_STATISTICS = Stage(
    name="layer_statistics", version=1, run=layer_statistics, output=LayerStatistics, seeded=False, networks=False
)
