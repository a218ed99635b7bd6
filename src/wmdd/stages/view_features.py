"""Beside the chain, view_features: what the teacher sees of random views of real images.

Distilled images reach students as views; their features are compared with those of views of real images here, one view
for each of at most `IMAGES` images of a class. Views are cut from the central R x R of an image, as from a distilled
image, so that a set of real images is seen exactly as the others are. The teacher is in eval mode and in fp32.
"""

import torch
from torch import Tensor, nn

from wmdd.context import Context, Saved
from wmdd.data.inputs import network_inputs
from wmdd.data.loading import class_counts, fetch_batches
from wmdd.data.views import crop_and_flip, draw_views
from wmdd.models.building import build_teacher
from wmdd.models.taps import tap_features
from wmdd.settings import ViewSettings
from wmdd.stages.classes import class_by_class
from wmdd.stages.stage import Stage
from wmdd.stages.statistics import feature_width, require_finite_features
from wmdd.values import ClassFeatures, ImageSet, Teacher

IMAGES = 512
"""Real images of a class that are looked at, drawn without replacement; all of a smaller class."""
BATCH = 100
"""Images in a pass."""


def view_features(
    train: ImageSet, teacher: Teacher, settings: ViewSettings, *, ctx: Context | None = None
) -> ClassFeatures:
    """Return the features of one view of real images of each class; the unit of work is a class.

    CutMix does not count: a class's features are those of its own images.

    Raises:
        DataError: teacher and images disagree about classes.
        NumericsError: a feature is not finite.
    """
    ctx = ctx or Context()
    teacher.require_classes(train.classes)
    model = build_teacher(teacher, ctx.device)
    counts = tuple(min(count, IMAGES) for count in class_counts(train))
    features = ctx.array("features", (sum(counts), feature_width(model, teacher)))

    def rows(label: int) -> Tensor:
        return features[sum(counts[:label]) : sum(counts[: label + 1])]

    def one_class(label: int) -> Saved:
        found = _of_class(model, train, teacher, label, settings=settings, ctx=ctx)
        require_finite_features(found, train.classes[label], model)
        rows(label)[:] = found
        return Saved(tensors={}, facts={})

    class_by_class(one_class, len(train.classes), rows=rows, ctx=ctx)
    return ClassFeatures(features=features, counts=counts)


def _of_class(
    model: nn.Module, train: ImageSet, teacher: Teacher, label: int, *, settings: ViewSettings, ctx: Context
) -> Tensor:
    """Return the features `(min(n_k, IMAGES), D)` of one view each of real images of a class."""
    members, size = train.of_class(label), teacher.image_size
    chosen = members[torch.randperm(len(members), generator=ctx.generator("images", label))[:IMAGES].sort().values]
    plain = settings.with_(cutmix=0.0)
    drawn = draw_views(chosen, size, size, plain, ctx.generator("views", label))
    found: list[Tensor] = []
    exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)  # as the statistics are computed
    with exact, torch.inference_mode(), tap_features(model) as latest:
        at = 0
        for index, pixels in fetch_batches(train, chosen.split(BATCH), workers=ctx.workers, device=ctx.device):
            own = drawn.rows(at, at := at + len(index))
            views = crop_and_flip(network_inputs(pixels, teacher), own.crop, own.flip, size)
            model(views.contiguous(memory_format=torch.channels_last))
            found.append(latest.features.float())
    return torch.cat(found).cpu()


VIEW_FEATURES = Stage(
    name="view_features", version=1, run=view_features, output=ClassFeatures, networks=False, workers="units"
)
