"""The barycenter stage goes through the classes; its mathematics is tested with `wmdd.ot`."""

import pytest
import torch

from memory_context import MemoryContext
from wmdd.context import Context
from wmdd.errors import DataError
from wmdd.settings import BarycenterSettings
from wmdd.stages.barycenter import barycenter
from wmdd.values import ClassStatistics


def test_every_class_gets_atoms_weights_and_a_cost(class_statistics: ClassStatistics) -> None:
    ctx = MemoryContext()
    found = barycenter(class_statistics, BarycenterSettings(), ipc=3, ctx=ctx)
    width = class_statistics.features.shape[1]
    assert found.atoms.shape == (3, 3, width)
    assert torch.allclose(found.weights.sum(1), torch.ones(3, dtype=torch.float64))
    assert (found.floors > 0).all()
    assert [row["unit"] for row in ctx.rows] == ["class 0", "class 1", "class 2"]
    assert ctx.steps == [(1, 3), (2, 3), (3, 3)]
    for label, trace in enumerate(found.traces):
        assert trace[-1] <= trace[0] * (1 + 1e-9)
        distances = torch.cdist(class_statistics.of_class(label).double(), found.atoms[label].double()).square()
        assert float(found.costs[label]) >= float(distances.min(1).values.mean()) * (1 - 1e-4)


def test_one_atom_is_the_mean(class_statistics: ClassStatistics) -> None:
    found = barycenter(class_statistics, BarycenterSettings(), ipc=1)
    for label in range(3):
        torch.testing.assert_close(
            found.atoms[label, 0], class_statistics.of_class(label).mean(0), rtol=1e-4, atol=1e-5
        )
    assert found.weights.tolist() == [[1.0]] * 3


def test_the_seed_decides(class_statistics: ClassStatistics) -> None:
    one, same, other = (
        barycenter(class_statistics, BarycenterSettings(), ipc=3, ctx=Context(seed=seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(one.atoms, same.atoms)
    assert not torch.equal(one.atoms, other.atoms)


def test_more_atoms_than_images_are_refused(class_statistics: ClassStatistics) -> None:
    with pytest.raises(DataError, match="got 12 images and IPC 13; lower --ipc to 12"):
        barycenter(class_statistics, BarycenterSettings(), ipc=13)
