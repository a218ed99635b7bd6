"""Accuracy of a network on real images, measured alike for teachers and students."""

from collections.abc import Iterator, Sequence
from functools import reduce
from operator import add

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wmdd.context import Context, sent
from wmdd.data.inputs import InputForm, network_inputs
from wmdd.data.loading import fetch_batches, in_order
from wmdd.errors import NumericsError
from wmdd.training.finite import weights_in_words
from wmdd.values import ImageSet

BATCH = 250


def accuracies(model: nn.Module, images: ImageSet, form: InputForm, ctx: Context) -> dict[str, float]:
    """Return how well a network does on the central crop of every image; `model` must be in eval mode.

    `top1` and `top5` are in per cent; with fewer than five classes, `top5` counts all of them. `test_loss` is the mean
    cross-entropy in nats, if the outputs are logits.

    Raises:
        NumericsError: the network's answers are not finite: whatever came out would look like an accuracy.
    """
    depth = min(5, len(images.classes))
    batches = in_order(len(images), BATCH)
    with torch.inference_mode():
        # Read once, when all is computed: no batch waits for the one before.
        found = [_sums(logits, index, images, depth) for index, logits in _answers(model, images, form, batches, ctx)]
        rows = torch.stack(found).tolist()
        for index, row in zip(batches, rows, strict=True):
            if not row[3]:
                _, logits = next(_answers(model, images, form, [index], ctx))
                raise _not_finite(model, logits, images, index)
    count = len(images)
    top1, top5, loss = (reduce(add, column, 0.0) for column in list(zip(*rows, strict=True))[:3])
    return {"top1": 100.0 * top1 / count, "top5": 100.0 * top5 / count, "test_loss": loss / count}


def _answers(
    model: nn.Module, images: ImageSet, form: InputForm, batches: Sequence[Tensor], ctx: Context
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield positions and logits `(B, C)` of each batch."""
    for index, pixels in fetch_batches(images, batches, workers=ctx.workers, device=ctx.device):
        inputs = network_inputs(pixels, form)
        with ctx.autocast():
            logits = model(inputs.contiguous(memory_format=torch.channels_last))
        yield index, logits


def _sums(logits: Tensor, index: Tensor, images: ImageSet, depth: int) -> Tensor:
    """Return of a batch, `(4,)`: images right at once and in `depth` answers, cross-entropy, whether all is finite."""
    labels = sent(images.labels[index], logits.device)
    finite = torch.isfinite(logits).all()
    logits = logits.float()
    hits = logits.topk(depth, dim=1).indices == labels[:, None]
    loss = F.cross_entropy(logits, labels, reduction="sum")
    return torch.stack([hits[:, 0].sum(), hits.any(dim=1).sum(), loss, finite])


def _not_finite(model: nn.Module, logits: Tensor, images: ImageSet, index: Tensor) -> NumericsError:
    """Return the error about answers that are not finite; it says whether the weights are."""
    row = int((~torch.isfinite(logits)).any(dim=1).nonzero()[0])
    name = images.classes[int(images.labels[index[row]])]
    answer = float(logits[row][~logits[row].isfinite()][0])
    return NumericsError(
        f"a network's answers are not finite; got {answer} for an image of class {name!r}, and "
        f"{weights_in_words(model)}; lower the learning rate that it was trained with, or give sound weights"
    )
