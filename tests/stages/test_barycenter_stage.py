"""The barycenter stage goes through the classes; its mathematics is tested with `wmdd.ot`."""

from typing import Any, get_args

import pytest
import torch

from memory_context import KilledError, MemoryContext
from wmdd import ot
from wmdd.context import Context
from wmdd.errors import DataError
from wmdd.settings import BarycenterSettings
from wmdd.stages.barycenter import OBJECTIVES, barycenter
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


def test_a_killed_run_ends_as_one_that_was_not(class_statistics: ClassStatistics) -> None:
    whole = barycenter(class_statistics, BarycenterSettings(), ipc=3)
    ctx = MemoryContext(stage="notebook", dies_after=2)
    with pytest.raises(KilledError):
        barycenter(class_statistics, BarycenterSettings(), ipc=3, ctx=ctx)
    again = ctx.again()
    resumed = barycenter(class_statistics, BarycenterSettings(), ipc=3, ctx=again)
    assert [row["unit"] for row in again.rows] == ["class 2"]
    for name in ("atoms", "weights", "costs", "floors"):
        assert torch.equal(getattr(resumed, name), getattr(whole, name))
    assert (resumed.traces, resumed.converged) == (whole.traces, whole.converged)


def test_more_atoms_than_images_are_refused(class_statistics: ClassStatistics) -> None:
    with pytest.raises(DataError, match="got 12 images and IPC 13; lower --ipc to 12"):
        barycenter(class_statistics, BarycenterSettings(), ipc=13)


def test_every_objective_that_can_be_set_has_a_solver_and_takes_settings_that_exist() -> None:
    assert set(OBJECTIVES) == set(get_args(BarycenterSettings.model_fields["objective"].annotation))
    assert {name for _, names in OBJECTIVES.values() for name in names} <= set(BarycenterSettings.model_fields)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_gives_atoms_that_exact_transport_judges(
    class_statistics: ClassStatistics, objective: Any
) -> None:
    settings = BarycenterSettings(objective=objective)
    found = barycenter(class_statistics, settings, ipc=3)
    again = barycenter(class_statistics, settings, ipc=3)
    assert torch.equal(found.atoms, again.atoms)
    assert found.weights.sum(1).tolist() == pytest.approx([1.0] * 3)
    assert (found.floors <= found.costs * (1 + 1e-9)).all()
    for label in range(3):
        points = class_statistics.of_class(label).numpy()
        exact = ot.wasserstein2(found.atoms[label].numpy(), points, found.weights[label].numpy()).value
        assert float(found.costs[label]) == pytest.approx(exact, rel=1e-4)


def test_only_wasserstein_reads_weights_and_step(class_statistics: ClassStatistics) -> None:
    def weights(**values: Any) -> torch.Tensor:
        return barycenter(class_statistics, BarycenterSettings(**values), ipc=3).weights

    assert torch.equal(weights(objective="sliced", weights="exact", step=0.5), weights(objective="sliced"))
    assert not torch.equal(weights(weights="exact"), weights(weights="uniform"))
