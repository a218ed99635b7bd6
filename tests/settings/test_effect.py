"""Only settings that had a part in a run are listed, and they make the same recipe again."""

from typing import Any

import pytest

from wmdd.methods.catalogue import builtin_methods, complete
from wmdd.settings.effect import settings_in_effect
from wmdd.settings.recipe import dotted


@pytest.mark.parametrize(
    ("changes", "trains", "unused", "used"),
    [
        (
            {"method": "wmdd"},
            True,
            ["relabel.top_k", "recover.curriculum_end", "device", "data.workers"],
            ["recover.lr"],
        ),
        ({"method": "wmdd", "relabel.store": "topk"}, True, [], ["relabel.top_k"]),
        ({"method": "cda"}, True, [], ["cda.curriculum_end", "cda.curriculum_milestone"]),
        ({"method": "sre2l", "sre2l.bn": "none"}, True, ["sre2l.bn_weight", "sre2l.curriculum_end"], ["sre2l.roll"]),
        ({"method": "gvbsm", "gvbsm.shift": 0.125}, True, ["gvbsm.crop_min", "gvbsm.curriculum"], ["gvbsm.flip"]),
        ({"method": "wmdd", "recover.bn": "none"}, True, ["recover.bn_weight", "recover.bn_first"], ["recover.bn"]),
        ({"method": "wmdd", "barycenter.objective": "kmeans"}, True, ["barycenter.step", "barycenter.weights"], []),
        ({"method": "wmdd", "barycenter.weights": "exact"}, True, ["barycenter.step"], ["barycenter.weights"]),
        ({"method": "dm"}, True, ["recover.lr"], ["dm.lr", "squeeze.lr"]),
        ({"method": "dm", "squeeze.optimiser": "adamw"}, True, ["squeeze.momentum"], ["squeeze.lr"]),
        ({"method": "dm", "squeeze.schedule": "step"}, True, ["squeeze.zeta"], ["squeeze.momentum"]),
        (
            {"method": "dm", "squeeze.checkpoint": "x.pth"},
            False,
            ["squeeze.lr", "squeeze.epochs"],
            ["squeeze.checkpoint"],
        ),
    ],
)
def test_what_is_switched_off_is_left_out(
    changes: dict[str, Any], trains: bool, unused: list[str], used: list[str]
) -> None:
    found = dotted(settings_in_effect(complete({}, changes), trains=trains, holdout=0.1))
    assert not set(unused) & set(found)
    assert set(used) <= set(found)
    assert "data.holdout" in found


@pytest.mark.parametrize(
    ("holdout", "listed"), [(0.1, {"holdout", "holdout_seed"}), (0.2, {"holdout_seed"}), (None, set())]
)
def test_the_hold_out_is_listed_only_where_it_was_read(holdout: float | None, listed: set[str]) -> None:
    data = settings_in_effect(complete({"method": "dm"}), holdout=holdout)["data"]
    assert {name for name in data if name.startswith("holdout")} == listed


def test_without_stored_labels_there_are_no_settings_of_them() -> None:
    found = settings_in_effect(complete({"method": "dm"}), relabels=False)
    assert found["relabel"] == {"teachers": []}


@pytest.mark.parametrize("method", builtin_methods())
def test_they_make_the_same_recipe(method: str) -> None:
    recipe = complete({"method": method})
    assert complete({}, settings_in_effect(recipe)) == recipe
