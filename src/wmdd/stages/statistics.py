"""Stage 2, statistics: one pass of the teacher over the real images.

Gives the penultimate features, and per class the exact mean and variance of every BatchNorm layer's *input* over all
images of the class and all positions (the targets of PCBN, arXiv:2311.18531). Differs from the reference code: its
per-class variance averages the variances within batches and loses the spread between them; ours merges sums and does
not depend on the batch size or on the order.
"""

from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from wmdd.context import Context, Saved
from wmdd.data.inputs import network_inputs
from wmdd.data.loading import class_counts, fetch_batches
from wmdd.errors import NumericsError
from wmdd.models.batchnorm import batchnorm_layers, batchnorm_widths
from wmdd.models.building import build_teacher
from wmdd.models.streaming_moments import LayerMoments
from wmdd.models.taps import features_and_logits, tap_batchnorm, tap_features
from wmdd.settings import StatisticsSettings
from wmdd.stages.classes import class_by_class
from wmdd.stages.stage import Stage
from wmdd.training.finite import weights_in_words
from wmdd.values import ClassStatistics, ImageSet, Teacher


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
    counts = class_counts(train)
    features = ctx.array("features", (len(train), feature_width(model, teacher)))

    def rows(label: int) -> Tensor:
        return features[sum(counts[:label]) : sum(counts[: label + 1])]

    def one_class(label: int) -> Saved:
        moments = LayerMoments()
        tap = tap_batchnorm(model, moments.take)
        members = train.of_class(label)
        rows(label)[:] = pass_images(model, train, teacher, members, tap=tap, batch=settings.batch, ctx=ctx)
        return Saved(tensors=moments.tensors(), facts={})

    found = class_by_class(one_class, len(train.classes), rows=rows, ctx=ctx)
    return ClassStatistics(
        features=features,
        counts=counts,
        layers=tuple(name for name, _ in batchnorm_layers(model)),
        widths=batchnorm_widths(model),
        means=found.tensors["mean"],
        variances=found.tensors["variance"],
    )


def pass_images(
    model: nn.Module,
    train: ImageSet,
    teacher: Teacher,
    positions: Tensor,
    *,
    tap: AbstractContextManager[object],
    batch: int,
    ctx: Context,
) -> Tensor:
    """Pass images of one class, at `positions` `(n,)`, through the teacher inside `tap`; return features `(n, D)`, CPU.

    Raises:
        NumericsError: a feature is not finite.
    """
    batches = [part.tolist() for part in positions.split(batch)]
    features: list[Tensor] = []
    exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)  # TF32 would cost the targets three digits
    with exact, torch.inference_mode(), tap, tap_features(model) as latest:
        for _, pixels in fetch_batches(train, batches, workers=ctx.workers, device=ctx.device):
            inputs = network_inputs(pixels, teacher)
            model(inputs.contiguous(memory_format=torch.channels_last))
            features.append(latest.features.float())
    found = torch.cat(features).cpu()  # once for all of these images: nothing waits for the device before
    require_finite_features(found, train.classes[int(train.labels[positions[0]])], model)
    return found


def require_finite_features(features: Tensor, name: str, model: nn.Module) -> None:
    """Raise `NumericsError` if the teacher `model` gives images of class `name` features that are not finite."""
    if not bool(torch.isfinite(features).all()):
        raise NumericsError(
            f"the teacher's features are not finite; got NaN or infinity for images of class {name!r}, "
            f"and {weights_in_words(model)}; give or train a sound teacher"
        )


def feature_width(model: nn.Module, teacher: Teacher) -> int:
    """Return D, from a pass of one grey image."""
    spec = teacher.spec
    image = torch.zeros(1, spec.channels, spec.image_size, spec.image_size, device=next(model.parameters()).device)
    with torch.inference_mode():
        return features_and_logits(model, image)[0].shape[1]


STATISTICS = Stage(
    name="statistics", version=1, run=statistics, output=ClassStatistics, seeded=False, networks=False, workers="units"
)
