"""Stage 5, relabel: the teacher's logits of every view that students will train on (FKD).

A view is drawn from (seed, epoch, batch) and stored beside the teacher's logits, so anybody can replay it
(`data/views.py`). Differs from the reference code: CutMix partners and boxes are drawn per image; labels belong to
images, not to batches, so a student may train with any batch size.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from wmdd.context import Context
from wmdd.data.inputs import distilled_inputs, view_inputs
from wmdd.data.views import epoch_views
from wmdd.models.committee import build_teachers
from wmdd.settings import RelabelSettings, ViewSettings
from wmdd.stages.stage import Stage
from wmdd.values import DistilledSet, DrawnViews, EpochLabels, LazyEpochs, SoftLabels, Teacher, Views
from wmdd.values.labels import epoch_name

TEACHER_BATCH = 500


def relabel(
    distilled: DistilledSet,
    teachers: Sequence[Teacher],
    settings: RelabelSettings,
    *,
    epochs: int,
    batch: int,
    ctx: Context | None = None,
) -> SoftLabels:
    """Return views and soft labels of `distilled` for `epochs` epochs of batches of `batch` images.

    Of several teachers the mean of their logits counts. The unit of work is an epoch; each is saved as it is made and
    read back when needed, so memory stays flat. With no epochs, `plain`, the logits of the images themselves, is all.
    """
    ctx = ctx or Context()
    model = build_teachers(teachers, ctx.device)
    kept: dict[int, EpochLabels] = {}
    for epoch in range(epochs):
        if ctx.restore(epoch_name(epoch)) is None:
            labels = _one_epoch(model, distilled, settings, epoch, batch=batch, ctx=ctx)
            if not ctx.save(epoch_name(epoch), labels.tensors()):
                kept[epoch] = labels
        ctx.progress(epoch + 1, epochs)

    def read(epoch: int) -> EpochLabels:
        return kept[epoch] if epoch in kept else EpochLabels.of(ctx.restored(epoch_name(epoch)).tensors)

    every = LazyEpochs(epochs, read)
    return SoftLabels(
        store=settings.store,
        batch=batch,
        temperature=settings.temperature,
        num_classes=len(distilled.classes),
        epochs=every,
        plain=_plain(model, distilled, ctx),
        num_bytes=sum(value.nbytes for epoch in every[:1] for value in epoch.tensors().values()) * epochs,
        drawn=DrawnViews(crop_min=settings.crop_min, flip=settings.flip, cutmix=settings.cutmix),
    )


def _plain(model: nn.Module, distilled: DistilledSet, ctx: Context) -> Tensor:
    """Return the teacher's logits of the images as they are, `(M, C)`."""
    spans = [slice(at, at + TEACHER_BATCH) for at in range(0, len(distilled.labels), TEACHER_BATCH)]
    return torch.cat([teacher_logits(model, distilled_inputs(distilled, span, ctx.device), ctx) for span in spans])


def _one_epoch(
    model: nn.Module, distilled: DistilledSet, settings: RelabelSettings, epoch: int, *, batch: int, ctx: Context
) -> EpochLabels:
    """Draw the views of one epoch and label them."""
    views = ViewSettings(crop_min=settings.crop_min, flip=settings.flip, cutmix=settings.cutmix)
    size = distilled.image_size
    drawn = epoch_views(
        len(distilled.labels),
        batch,
        size,
        size,
        views,
        generator_for=lambda number: ctx.generator("views", epoch, number),
        shuffle=ctx.generator("order", epoch),
    )
    if settings.store == "online":
        return EpochLabels(views=drawn, logits=None)
    logits = torch.cat(
        [
            teacher_logits(model, view_inputs(distilled, drawn.rows(start, start + TEACHER_BATCH), ctx.device), ctx)
            for start in range(0, len(drawn), TEACHER_BATCH)
        ]
    )
    if settings.store == "topk" and settings.top_k < logits.shape[1]:
        return keep_largest(drawn, logits, settings.top_k)
    return EpochLabels(views=drawn, logits=logits.half())


def keep_largest(views: Views, logits: Tensor, count: int) -> EpochLabels:
    """Return labels that keep the `count` largest of the `(M, C)` logits, and the mean of the others in their place."""
    largest, classes = logits.topk(count, dim=1)
    rest = (logits.sum(dim=1) - largest.sum(dim=1)) / (logits.shape[1] - count)
    return EpochLabels(views=views, logits=largest.half(), classes=classes.to(torch.int32), rest=rest.half())


def teacher_logits(model: nn.Module, images: Tensor, ctx: Context) -> Tensor:
    """Return the teacher's logits of normalised images, float32 on the CPU."""
    with torch.inference_mode(), ctx.autocast():
        return model(images.contiguous(memory_format=torch.channels_last)).float().cpu()


RELABEL = Stage(name="relabel", version=3, run=relabel, output=SoftLabels)
