"""The table of efficiency: what is measured, and that a method can be."""

import pytest
from benchmarks.efficiency import ITERATIONS, measure, noise, parser, recipe_of, table

from wmdd.methods.catalogue import builtin_methods
from wmdd.settings.recipe import dotted

SMALL = ["--side", "8", "--classes", "2", "--arch", "convnet1_w4_bn", "--matching", "convnet1_w4", "--threads", "1"]


@pytest.mark.parametrize("method", ITERATIONS)
def test_iterations_and_networks_are_the_ones_asked_for(method: str) -> None:
    assert method in builtin_methods()
    flat = dotted(recipe_of(method, parser().parse_args(SMALL), 7).model_dump())
    assert (flat["ipc"], flat["squeeze.arch"], flat[ITERATIONS[method]]) == (1, "convnet1_w4_bn", 7)
    assert flat.get(f"{method}.arch", "convnet1_w4") == "convnet1_w4"


@pytest.mark.parametrize("method", ["wmdd", "dm"])
def test_an_iteration_takes_time_and_memory(method: str) -> None:
    found = measure(method, parser().parse_args([*SMALL, "--few", "1", "--iterations", "60"]))
    assert 0 < found["seconds"] < 60
    assert found["bytes"] > 1e7


def test_noise_has_as_many_images_of_each_class() -> None:
    images = noise(3, 8)
    assert images.labels.bincount().tolist() == [300, 300, 300]
    assert images.images.fetch([0, 899]).shape == (2, 3, 8, 8)


def test_figures_are_medians_and_multiples_of_the_first() -> None:
    rounds = {"wmdd": [{"seconds": s, "bytes": 2e6} for s in (1.0, 9.0, 2.0)], "dm": [{"seconds": 5.0, "bytes": 1e6}]}
    assert table(rounds).splitlines()[2:] == ["| WMDD | 2.0000 | 1.0 | 2 |", "| DM | 5.0000 | 2.5 | 1 |"]
