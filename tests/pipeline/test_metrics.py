"""What `metrics.json` says of the stages."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from wmdd.methods.catalogue import complete
from wmdd.pipeline.metrics import _barycenter
from wmdd.stages.barycenter import BARYCENTER, OBJECTIVES
from wmdd.values import Barycenters


def runner(**settings: Any) -> Any:
    """Return what is read of a runner that has made the barycenters of two classes."""
    record = Barycenters(
        atoms=torch.zeros(2, 1, 3),
        weights=torch.ones(2, 1, dtype=torch.float64),
        costs=torch.tensor([1.0, 3.0], dtype=torch.float64),
        floors=torch.tensor([1.0, 2.0], dtype=torch.float64),
        traces=((2.0, 1.0), (3.0,)),
        converged=(True, False),
    )
    recipe = complete({"barycenter": settings})
    return cast(Any, SimpleNamespace(recipe=recipe, results=[SimpleNamespace(stage=BARYCENTER, record=record)]))


def test_a_barycenter_in_numbers() -> None:
    assert _barycenter(runner(weights="exact")) == {
        "objective": "wasserstein",
        "weights": "exact",
        "cost_mean": 2.0,
        "floor_mean": 1.5,
        "traces": [[2.0, 1.0], [3.0]],
        "converged": False,
    }


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_setting_of_the_weights_is_given_where_it_is_read(objective: str) -> None:
    found = _barycenter(runner(objective=objective, weights="uniform"))
    assert found["objective"] == objective
    assert found["weights"] == ("uniform" if "weights" in OBJECTIVES[objective][1] else None)


def test_methods_without_barycenters_have_none() -> None:
    assert _barycenter(cast(Any, SimpleNamespace(recipe=complete({}), results=[]))) == {}
