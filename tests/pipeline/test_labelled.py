"""Labels are stored for the protocols that need them, and for no others."""

from typing import Any

import pytest

from wmdd.evaluation.protocols import find_protocol
from wmdd.methods.catalogue import complete
from wmdd.pipeline.set_evaluation import labelled, stored_epochs


@pytest.mark.parametrize(
    ("protocols", "names", "expected"),
    [
        (("wmdd",), ["wmdd"], 300),
        (("rd3", "dc", "sre2l", "wmdd"), ["sre2l", "wmdd"], 300),
        (("rded", "rd3"), ["rded", "rd3"], 400),
        (("hard", "rded"), ["rded"], 300),
        (("hard", "dc", "own", "kernel"), [], 0),
    ],
)
def test_labels_are_stored_for_those_who_need_them(protocols: Any, names: list[str], expected: int) -> None:
    assert [each.name for each in labelled([find_protocol(name) for name in protocols])] == names
    recipe = complete({"evaluate.protocols": protocols})
    assert stored_epochs(recipe) == expected
    assert stored_epochs(recipe.with_settings({"evaluate.epochs": 7})) == (7 if expected else 0)
