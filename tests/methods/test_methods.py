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
    "herding": [
        ("statistics", ("train", "teacher"), {}),
        ("herding", ("train", "teacher", "statistics"), {"ipc": 7}),
    ],
    "k-center": [
        ("statistics", ("train", "teacher"), {}),
        ("k-center", ("train", "teacher", "statistics"), {"ipc": 7}),
    ],
    "k-means": [
        ("statistics", ("train", "teacher"), {}),
        ("k-means", ("train", "teacher", "statistics"), {"ipc": 7}),
    ],
    "rded": [("rded", ("train", "teacher"), {"ipc": 7})],
    "dc": [("match_gradients", ("train", "teacher"), {"ipc": 7, "method": "dc"})],
    "dsa": [("match_gradients", ("train", "teacher"), {"ipc": 7, "method": "dsa"})],
    "dm": [("match_means", ("train", "teacher"), {"ipc": 7})],
    "sre2l": [
        ("statistics", ("train", "teacher"), {}),
        ("invert", ("train", "teacher", "statistics"), {"ipc": 7, "method": "sre2l"}),
    ],
    "cda": [
        ("statistics", ("train", "teacher"), {}),
        ("invert", ("train", "teacher", "statistics"), {"ipc": 7, "method": "cda"}),
    ],
    "mmd": [
        ("statistics", ("train", "teacher"), {}),
        ("invert", ("train", "teacher", "statistics"), {"ipc": 7, "method": "mmd"}),
    ],
    "scdd": [
        ("statistics", ("train", "teacher"), {}),
        ("invert", ("train", "teacher", "statistics"), {"ipc": 7, "method": "scdd"}),
    ],
    "gvbsm": [
        ("layer_statistics", ("train", "teacher"), {}),
        ("gvbsm", ("train", ("teacher",), ("layer_statistics",)), {"ipc": 7}),
    ],
    "dd": [("dd", ("train", "teacher"), {"ipc": 7})],
    "mtt": [("experts", ("train", "teacher"), {}), ("mtt", ("train", "teacher", "experts"), {"ipc": 7})],
    "kip": [("kip", ("train", "teacher"), {"ipc": 7})],
    "ls": [("ls", ("train", "teacher"), {"ipc": 7})],
}


class Recording:
    """Stages that only note what they were asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def run(self, stage: Any, *inputs: Any, settings: Any, **facts: Any) -> GivenResult:
        assert settings is not None
        keys = tuple(tuple(each.key for each in part) if isinstance(part, tuple) else part.key for part in inputs)
        self.asked.append((stage.name, keys, facts))
        return GivenResult(key=stage.name, record=None)


@pytest.mark.parametrize("name", METHODS)
def test_wiring(name: str) -> None:
    stages = Recording()
    train, teacher = (GivenResult(key=key, record=None) for key in ("train", "teacher"))
    result = find_method(name).distill(stages, train, (teacher,), Recipe(ipc=7))  # pyright: ignore[reportArgumentType]
    assert stages.asked == WIRES[name]
    assert result.key == stages.asked[-1][0]


def test_the_table_and_the_names_agree() -> None:
    assert set(_TABLE) == set(METHODS)
    for name, method in _TABLE.items():
        assert method.name == name
        assert METHODS[name]
        assert method.source


def test_unknown_methods_are_named_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="got 'wmd'; did you mean 'wmdd'"):
        find_method("wmd")
