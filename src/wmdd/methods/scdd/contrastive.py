"""The contrastive loss of SimCLR."""

import torch
import torch.nn.functional as F
from torch import Tensor


def nt_xent(vectors: Tensor, temperature: float) -> Tensor:
    """Return the normalised temperature-scaled cross-entropy (Chen et al., ICML 2020, eq. 1), a mean over 2B views.

    For view i with partner p: -log( exp(s_ip / tau) / sum_(j != i) exp(s_ij / tau) ), s the cosine of two vectors.

    Args:
        vectors: `(2B, P)`: rows b and B + b are the two views of one image.
        temperature: tau.
    """
    units = F.normalize(vectors.float(), dim=1)
    cosines = units @ units.T / temperature
    itself = torch.eye(len(units), dtype=torch.bool, device=units.device)
    partners = torch.arange(len(units), device=units.device).roll(len(units) // 2)
    return F.cross_entropy(cosines.masked_fill(itself, float("-inf")), partners)
