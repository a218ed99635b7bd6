"""Records that stages read, made without running other stages."""

import pytest
import torch

from wmdd.values import Barycenters, ClassStatistics


def drawn_barycenters(stats: ClassStatistics, ipc: int = 2) -> Barycenters:
    """Return the first features of each class as atoms, with unequal weights."""
    count = len(stats.counts)
    weights = torch.rand(count, ipc, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.2
    return Barycenters(
        atoms=torch.stack([stats.of_class(label)[:ipc] for label in range(count)]),
        weights=weights / weights.sum(1, keepdim=True),
        costs=torch.zeros(count, dtype=torch.float64),
        best_known=torch.zeros(count, dtype=torch.float64),
        traces=((),) * count,
        converged=(True,) * count,
    )


@pytest.fixture
def barycenters(class_statistics: ClassStatistics) -> Barycenters:
    return drawn_barycenters(class_statistics)
