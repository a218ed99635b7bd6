"""What the teacher answers to real images as they are."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wmdd.context import Context
from wmdd.data.inputs import network_inputs
from wmdd.data.loading import fetch_batches
from wmdd.evaluation.accuracy import BATCH
from wmdd.stages.relabel import teacher_logits
from wmdd.values import ImageSet, Teacher


def log_probabilities(
    model: nn.Module, train: ImageSet, teacher: Teacher, positions: Tensor, *, ctx: Context
) -> Tensor:
    """Return the log-probabilities of all classes for the images at `positions`, float64 `(n, C)` on the CPU."""
    parts = [
        teacher_logits(model, network_inputs(pixels, teacher), ctx)
        for _, pixels in fetch_batches(train, positions.split(BATCH), workers=ctx.workers, device=ctx.device)
    ]
    return F.log_softmax(torch.cat(parts).double(), dim=1)  # float64: easy images differ in the tenth digit
