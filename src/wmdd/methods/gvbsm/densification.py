"""Data densification: images of a class that are not all the same (G-VBSM, CVPR 2024, arXiv:2311.17950)."""

import torch
import torch.nn.functional as F
from torch import Tensor


def densification(images: Tensor, temperature: float) -> Tensor:
    """Return sum_k KL( softmax(l_k / tau) || softmax(l_k) ), l_k the eigenvalues of a class's Gram matrix over D.

    The first argument is held fixed: eigenvalues are drawn towards more equal ones. D = ch * R² is the number of values
    of an image. Differs from the reference code, which does not divide: there the eigenvalues are in the thousands,
    both distributions have a single point, and value and gradient are 0 in float32. 0 for one image a class.

    Args:
        images: `(G, K, ...)`, the K images of each of G classes.
        temperature: tau, above 1.
    """
    flat = images.flatten(2)
    eigenvalues = torch.linalg.eigvalsh(flat @ flat.mT / flat.shape[2])
    wanted = F.log_softmax(eigenvalues.detach() / temperature, dim=1)
    return F.kl_div(F.log_softmax(eigenvalues, dim=1), wanted, reduction="sum", log_target=True)
