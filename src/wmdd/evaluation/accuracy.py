"""Accuracy of a network on real images, measured alike for teachers and students."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wmdd.context import Context
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
    top1, top5, loss = 0, 0, 0.0
    depth = min(5, len(images.classes))
    with torch.inference_mode():
        for index, pixels in fetch_batches(
            images, in_order(len(images), BATCH), workers=ctx.workers, device=ctx.device
        ):
            inputs = network_inputs(pixels, form)
            with ctx.autocast():
                logits = model(inputs.contiguous(memory_format=torch.channels_last))
            _require_answers(model, logits, images, index)
            labels = images.labels[index].to(logits.device)
            loss += float(F.cross_entropy(logits.float(), labels, reduction="sum"))
            hits = logits.float().topk(depth, dim=1).indices == labels[:, None]
            top1 += int(hits[:, 0].sum())
            top5 += int(hits.any(dim=1).sum())
    count = len(images)
    return {"top1": 100.0 * top1 / count, "top5": 100.0 * top5 / count, "test_loss": loss / count}


def _require_answers(model: nn.Module, logits: Tensor, images: ImageSet, index: Tensor) -> None:
    """Refuse answers that are not finite, and say whether the weights are."""
    if bool(torch.isfinite(logits).all()):
        return
    row = int((~torch.isfinite(logits)).any(dim=1).nonzero()[0])
    name = images.classes[int(images.labels[index[row]])]
    answer = float(logits[row][~logits[row].isfinite()][0])
    raise NumericsError(
        f"a network's answers are not finite; got {answer} for an image of class {name!r}, and "
        f"{weights_in_words(model)}; lower the learning rate that it was trained with, or give sound weights"
    )
