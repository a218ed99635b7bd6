"""Methods wire stages and do nothing else."""

from typing import Any

import pytest

from wmdd.errors import ConfigError
from wmdd.methods._registry import _TABLE, find_method
from wmdd.methods.names import METHODS
from wmdd.pipeline.recipe import Recipe
from wmdd.pipeline.runner import GivenResult

WIRES = {
    "wmdd": [
        ("statistics", ("train", "teacher"), {}),
        ("barycenter", ("statistics",), {"ipc": 7}),
        ("recover", ("train", "teacher", "statistics", "barycenter"), {"method": "wmdd"}),
    ],
    "random": [("random", ("train", "teacher"), {"ipc": 7})],
}


class Recording:
    """Stages that only note what they were asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, tuple[str, ...], dict[str, Any]]] = []

    def run(self, stage: Any, *inputs: Any, settings: Any, **facts: Any) -> GivenResult:
        assert settings is not None
        self.asked.append((stage.name, tuple(part.key for part in inputs), facts))
        return GivenResult(key=stage.name, record=None)


@pytest.mark.parametrize("name", METHODS)
def test_wiring(name: str) -> None:
    stages = Recording()
    train, teacher = (GivenResult(key=key, record=None) for key in ("train", "teacher"))
    result = find_method(name).distill(stages, train, teacher, Recipe(ipc=7))  # pyright: ignore[reportArgumentType]
    assert stages.asked == WIRES[name]
    assert result.key == stages.asked[-1][0]


def test_the_table_and_the_names_agree() -> None:
    assert set(_TABLE) == set(METHODS)
    for name, method in _TABLE.items():
        assert method.name == name
        assert METHODS[name]
        assert method.source


def test_unknown_methods_are_named_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="got 'wmmd'; did you mean 'wmdd'"):
        find_method("wmmd")
