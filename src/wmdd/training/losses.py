"""The losses that networks and images are optimised under.

Shapes: `B` images, `C` classes.
"""

import torch.nn.functional as F
from torch import Tensor


def label_loss(logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return the mean cross-entropy of `(B, C)` logits against labels `(B,)` or probabilities `(B, C)`."""
    return F.cross_entropy(logits, targets, label_smoothing=smoothing)


def distillation_loss(
    student: Tensor, teacher: Tensor, weights: Tensor, temperature: float, own: float | None = None
) -> Tensor:
    """Return mean_b [ w_b KL(softmax(teacher/T) || softmax(student/t)) ], without the factor T²; t is `own`, else T.

    FKD as in SRe2L and WMDD (arXiv:2311.18531); logits are `(B, C)`, weights `(B,)` with mean 1 over the whole set.
    """
    log_student = F.log_softmax(student.float() / (own or temperature), dim=1)
    divergence = F.kl_div(log_student, F.softmax(teacher.float() / temperature, dim=1), reduction="none").sum(dim=1)
    return (weights * divergence).mean()


def logit_loss(student: Tensor, teacher: Tensor, weights: Tensor) -> Tensor:
    """Return mean_b [ w_b mean_c (student - teacher)² ] of logits (G-VBSM, EDC).

    Logits are `(B, C)`, weights `(B,)` with mean 1 over the whole set.
    """
    return (weights * (student - teacher).square().mean(dim=1)).mean()


def target_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return mean_b ||logits - targets||² / 2 of `(B, C)` outputs and the targets that were learned for them."""
    return 0.5 * (logits - targets).square().sum(dim=1).mean()
