"""Stage 5, relabel: the teacher's logits of every view that students will train on (FKD).

A view is drawn from (seed, epoch, batch); with all logits it is stored (`data/views.py`), with compact ones it is drawn
again where it is needed (`data/drawing.py`), so that a label takes little more than its largest logits. Differs from
the reference code: CutMix partners and boxes are drawn per image; labels belong to images, not to batches, so a student
may train with any batch size.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from wmdd.context import Context, every_unit
from wmdd.data.drawing import draw_again, labels_of, stored_tensors
from wmdd.data.inputs import distilled_inputs, view_inputs
from wmdd.mapped import Gathered
from wmdd.models.committee import build_teachers
from wmdd.settings import RelabelSettings
from wmdd.stages.stage import Stage
from wmdd.values import DistilledSet, DrawnViews, EpochLabels, LazyEpochs, SoftLabels, Teacher, Views
from wmdd.values.labels import epoch_name
from wmdd.values.quantising import keep_largest

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
    rules = {name: getattr(settings, name) for name in ("crop_min", "flip", "cutmix")}
    drawn = DrawnViews(**rules, side=distilled.image_size, stage=ctx.stage, seed=ctx.seed)
    redrawn, online = settings.store != "full", settings.store == "online"
    kept: dict[int, dict[str, Tensor]] = {}

    def views(epoch: int) -> Views:
        return draw_again(drawn, epoch, count=len(distilled.labels), batch=batch)

    def make(epoch: int) -> None:
        if ctx.restore(epoch_name(epoch)) is None:
            labels = _one_epoch(model, distilled, settings, views(epoch), ctx)
            tensors = stored_tensors(labels, redrawn=redrawn)
            if not ctx.save(epoch_name(epoch), tensors):
                kept[epoch] = tensors
        ctx.progress(epoch + 1, epochs)

    every_unit([epoch_name(epoch) for epoch in range(0 if online else epochs)], make, ctx)

    def stored(epoch: int) -> Mapping[str, Tensor]:
        return kept[epoch] if epoch in kept else ctx.restored(epoch_name(epoch)).tensors

    def read(epoch: int) -> EpochLabels:
        if online:
            return EpochLabels(views=views(epoch), logits=None)
        return labels_of(stored(epoch), views(epoch) if redrawn else None)

    first = {} if online or not epochs else stored(0)
    return SoftLabels(
        store=settings.store,
        batch=batch,
        temperature=settings.temperature,
        num_classes=len(distilled.classes),
        epochs=LazyEpochs(epochs, read),
        plain=_plain(model, distilled, ctx),
        num_bytes=sum(value.nbytes for value in first.values()) * epochs,
        drawn=drawn,
        redrawn=redrawn,
        pooled=settings.passes is not None and not online,
    )


def _plain(model: nn.Module, distilled: DistilledSet, ctx: Context) -> Tensor:
    """Return the teacher's logits of the images as they are, `(M, C)`."""
    count = len(distilled.labels)
    found = Gathered(count=count, make=ctx.scratch)
    for span in _spans(count):
        inputs = distilled_inputs(distilled, span, ctx.device)
        found.put(span.start, {"logits": teacher_logits(model, inputs, ctx)})
    return found.tensors["logits"]


def _one_epoch(
    model: nn.Module, distilled: DistilledSet, settings: RelabelSettings, drawn: Views, ctx: Context
) -> EpochLabels:
    """Label the views of one epoch."""
    found = Gathered(count=len(drawn), make=ctx.scratch)
    for span in _spans(len(drawn)):
        views = drawn.rows(span.start, span.stop)
        logits = teacher_logits(model, view_inputs(distilled, views, ctx.device), ctx)
        largest = settings.store == "topk"
        kept = (
            keep_largest(views, logits, settings.top_k) if largest else EpochLabels(views=views, logits=logits.half())
        )
        found.put(span.start, kept.answers())
    return EpochLabels.of(found.tensors, drawn)


def _spans(count: int) -> list[slice]:
    return [slice(start, min(start + TEACHER_BATCH, count)) for start in range(0, count, TEACHER_BATCH)]


def teacher_logits(model: nn.Module, images: Tensor, ctx: Context) -> Tensor:
    """Return the teacher's logits of normalised images, float32 on the CPU."""
    with torch.inference_mode(), ctx.autocast():
        return model(images.contiguous(memory_format=torch.channels_last)).float().cpu()


RELABEL = Stage(name="relabel", version=4, run=relabel, output=SoftLabels, workers="units")
