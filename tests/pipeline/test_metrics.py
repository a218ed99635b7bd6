"""What `metrics.json` says of the stages."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from drawn import drawn_set
from wmdd.artifacts.manifest import Manifest
from wmdd.data.sources.opening import open_data
from wmdd.pipeline.metrics import barycenter_facts, data_facts
from wmdd.settings import BarycenterSettings, DataSettings
from wmdd.stages.barycenter import BARYCENTER, OBJECTIVES
from wmdd.values import Barycenters


def results(**settings: Any) -> Any:
    """Return what is read of the results of a run that has made the barycenters of two classes."""
    record = Barycenters(
        atoms=torch.zeros(2, 1, 3),
        weights=torch.ones(2, 1, dtype=torch.float64),
        costs=torch.tensor([1.0, 3.0], dtype=torch.float64),
        best_known=torch.tensor([1.0, 2.0], dtype=torch.float64),
        traces=((2.0, 1.0), (3.0,)),
        converged=(True, False),
    )
    manifest = Manifest(files={}, settings=BarycenterSettings(**settings).model_dump(mode="json"))
    folder = SimpleNamespace(manifest=lambda: manifest)
    return [cast(Any, SimpleNamespace(stage=BARYCENTER, record=record, folder=folder))]


def test_a_barycenter_in_numbers() -> None:
    assert barycenter_facts(results(weights="exact")) == {
        "objective": "wasserstein",
        "weights": "exact",
        "cost_mean": 2.0,
        "best_known_mean": 1.5,
        "starts": BarycenterSettings().starts,
        "uniform_share": None,
        "traces": [[2.0, 1.0], [3.0]],
        "converged": False,
    }


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_setting_of_the_weights_is_given_where_it_is_read(objective: str) -> None:
    found = barycenter_facts(results(objective=objective, weights="uniform"))
    assert found["objective"] == objective
    assert found["weights"] == ("uniform" if "weights" in OBJECTIVES[objective][1] else None)


def test_methods_without_barycenters_have_none() -> None:
    assert barycenter_facts([]) == {}


def test_the_share_that_was_held_out() -> None:
    assert data_facts(*open_data("digits", DataSettings(holdout=0.4)))["holdout"] == 0.2
    assert data_facts(drawn_set(), drawn_set(split="val"))["holdout"] is None
