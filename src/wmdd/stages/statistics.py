"""Stage 2, statistics: one pass of the teacher over the real images.

Gives the penultimate features, and per class the exact mean and variance of every BatchNorm layer's *input* over all
images of the class and all positions (the targets of PCBN, arXiv:2311.18531). Differs from the reference code: its
per-class variance averages the variances within batches and loses the spread between them; ours merges sums and does
not depend on the batch size or on the order.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wmdd.context import Context, Saved
from wmdd.data.inputs import network_inputs
from wmdd.data.loading import fetch_batches
from wmdd.models.batchnorm import batchnorm_layers, batchnorm_widths
from wmdd.models.building import build_teacher
from wmdd.models.streaming_moments import Moments
from wmdd.models.taps import tap_batchnorm, tap_features
from wmdd.settings import StatisticsSettings
from wmdd.stages.stage import Stage
from wmdd.values import ClassStatistics, ImageSet, Teacher


@dataclass(frozen=True, slots=True, kw_only=True)
class _ClassPass:
    """What one class gave: features `(n_k, D)` and moments of every layer."""

    features: Tensor
    moments: list[Moments]


def statistics(
    train: ImageSet, teacher: Teacher, settings: StatisticsSettings, *, ctx: Context | None = None
) -> ClassStatistics:
    """Return features and per-class BatchNorm moments of `train` under `teacher`.

    The unit of work is a class. Networks run in fp32 here whatever the context's precision: these are the targets.

    A teacher without BatchNorm gives features alone: moments of no layers, F = 0.

    Raises:
        DataError: teacher and images disagree about classes.
    """
    ctx = ctx or Context()
    teacher.require_classes(train.classes)
    model = build_teacher(teacher, ctx.device)
    layers = batchnorm_layers(model)
    counts = tuple(int((train.labels == label).sum()) for label in range(len(train.classes)))
    features: Tensor | None = None
    means, variances = [], []
    for label in range(len(train.classes)):
        done = ctx.restore(f"class-{label:05d}")
        if done is None or features is None:
            result = _one_class(model, train, teacher, label, batch=settings.batch, ctx=ctx)
            if features is None:
                features = ctx.array("features", (len(train), result.features.shape[1]))
            features[sum(counts[:label]) : sum(counts[: label + 1])] = result.features
            done = _summary(result)
            ctx.save(f"class-{label:05d}", done.tensors)
        means.append(done.tensors["mean"])
        variances.append(done.tensors["variance"])
        ctx.progress(label + 1, len(train.classes))
    assert features is not None
    return ClassStatistics(
        features=features,
        counts=counts,
        layers=tuple(name for name, _ in layers),
        widths=batchnorm_widths(model),
        means=torch.stack(means),
        variances=torch.stack(variances),
    )


def _summary(result: _ClassPass) -> Saved:
    """Put the moments of all layers side by side."""
    none = torch.zeros(0, dtype=torch.float64)
    return Saved(
        tensors={
            "mean": torch.cat([none, *(moments.mean for moments in result.moments)]),
            "variance": torch.cat([none, *(moments.variance for moments in result.moments)]),
        },
        facts={},
    )


def _one_class(
    model: nn.Module, train: ImageSet, teacher: Teacher, label: int, *, batch: int, ctx: Context
) -> _ClassPass:
    """Pass the images of one class through the teacher."""
    batches = [part.tolist() for part in train.of_class(label).split(batch)]
    moments: dict[int, Moments] = {}
    features: list[Tensor] = []
    exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)  # TF32 would cost the targets three digits
    with exact, torch.inference_mode(), tap_features(model) as tap, tap_batchnorm(model, merging(moments)):
        for _, pixels in fetch_batches(train, batches, workers=ctx.workers, device=ctx.device):
            inputs = network_inputs(pixels, teacher)
            model(inputs.contiguous(memory_format=torch.channels_last))
            features.append(tap.features.float().cpu())
    return _ClassPass(features=torch.cat(features), moments=[moments[layer] for layer in sorted(moments)])


def merging(moments: dict[int, Moments]) -> Callable[[int, Tensor], None]:
    """Return a function that merges each layer's input into `moments`."""

    def take(layer: int, values: Tensor) -> None:
        before = moments.get(layer)
        found = Moments.of(values, shift=None if before is None else before.mean)
        moments[layer] = found if before is None else before.merge(found)

    return take


STATISTICS = Stage(name="statistics", version=1, run=statistics, output=ClassStatistics, seeded=False, networks=False)
