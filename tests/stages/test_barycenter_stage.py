"""The barycenter stage goes through the classes; its mathematics is tested with `wmdd.ot`."""

from dataclasses import replace
from itertools import product
from typing import Any, get_args

import numpy as np
import pytest
import torch

from memory_context import KilledError, MemoryContext
from wmdd import ot
from wmdd.context import Context
from wmdd.errors import DataError
from wmdd.settings import BarycenterSettings
from wmdd.stages.barycenter import OBJECTIVES, barycenter
from wmdd.values import Barycenters, ClassStatistics


def test_every_class_gets_atoms_weights_and_a_cost(class_statistics: ClassStatistics) -> None:
    ctx = MemoryContext()
    found = barycenter(class_statistics, BarycenterSettings(), ipc=3, ctx=ctx)
    width = class_statistics.features.shape[1]
    assert found.atoms.shape == (3, 3, width)
    assert torch.allclose(found.weights.sum(1), torch.ones(3, dtype=torch.float64))
    assert (found.best_known > 0).all()
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
    for name in ("atoms", "weights", "costs", "best_known"):
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
    assert (found.best_known <= found.costs * (1 + 1e-9)).all()
    for label in range(3):
        points = class_statistics.of_class(label).numpy()
        exact = ot.wasserstein2(found.atoms[label].numpy(), points, found.weights[label].numpy()).value
        assert float(found.costs[label]) == pytest.approx(exact, rel=1e-4)


def test_only_wasserstein_reads_weights_and_step(class_statistics: ClassStatistics) -> None:
    def weights(**values: Any) -> torch.Tensor:
        return barycenter(class_statistics, BarycenterSettings(**values), ipc=3).weights

    assert torch.equal(weights(objective="sliced", weights="exact", step=0.5), weights(objective="sliced"))
    assert not torch.equal(weights(weights="exact"), weights(weights="uniform"))


def of_points(class_statistics: ClassStatistics, *classes: np.ndarray[Any, Any]) -> ClassStatistics:
    """Return statistics of classes of these features."""
    features = torch.from_numpy(np.concatenate(classes)).float()
    return replace(class_statistics, features=features, counts=tuple(map(len, classes)))


def best_of_all_partitions(points: np.ndarray[Any, Any], groups: int) -> float:
    """Return the least cost of k-means, found by trying every partition: total variance less that between groups."""
    labels = np.array([(0, *rest) for rest in product(range(groups), repeat=len(points) - 1)])
    members = np.eye(groups)[labels]  # (partitions, n, K)
    sums, sizes = np.einsum("pnk,nd->pkd", members, points), members.sum(1)
    kept = ((sums**2).sum(2) / np.maximum(sizes, 1)).sum(1).max()
    return float((np.sum(points**2) - kept) / len(points))


@pytest.mark.parametrize("weights", ["learned", "exact"])
def test_more_starts_leave_a_bad_local_minimum(class_statistics: ClassStatistics, weights: Any) -> None:
    drawn = [np.random.default_rng(seed).normal(size=(10, 2)) for seed in (2, 3)]
    optimum = torch.tensor([best_of_all_partitions(points, 3) for points in drawn], dtype=torch.float64)
    given = of_points(class_statistics, *drawn)
    ctx = Context(stage="barycenter")  # the first start of each class depends on it

    def solved(starts: int, objective: Any = "wasserstein") -> Barycenters:
        settings = BarycenterSettings(weights=weights, starts=starts, objective=objective)
        return barycenter(given, settings, ipc=3, ctx=ctx)

    one, several = solved(1), solved(10)
    assert float(one.costs[0]) > 1.4 * float(optimum[0])
    assert float(one.best_known[0]) > 1.4 * float(optimum[0])
    torch.testing.assert_close(several.costs, optimum, rtol=1e-5, atol=0)
    torch.testing.assert_close(several.best_known, optimum, rtol=1e-5, atol=0)
    assert torch.equal(several.atoms, solved(10).atoms)
    costs = torch.stack([solved(starts, "kmeans").costs for starts in range(1, 5)])
    assert bool((costs.diff(dim=0) <= 0).all())  # more starts begin with the same ones
    assert torch.equal(solved(4, "sliced").atoms, solved(1, "sliced").atoms)  # W2² is not what it minimises


def test_it_is_said_where_learned_weights_end_uniform(class_statistics: ClassStatistics) -> None:
    def two_groups(first: int, second: int) -> np.ndarray[Any, Any]:
        return np.concatenate(
            [np.random.default_rng(0).normal(loc, 0.01, (n, 2)) for loc, n in ((0, first), (9, second))]
        )

    given = of_points(class_statistics, two_groups(5, 5), two_groups(8, 2))
    ctx = MemoryContext()
    found = barycenter(given, BarycenterSettings(), ipc=2, ctx=ctx)
    assert found.uniform.tolist() == [True, False]
    assert sorted(found.weights[1].tolist()) == pytest.approx([0.2, 0.8])
    assert [row["uniform"] for row in ctx.rows] == [True, False]
