"""Shipped recipes are complete, and their docstrings are lab cards."""

import re
from pathlib import Path

import pytest

from wmdd.errors import ConfigError
from wmdd.methods.names import check_method
from wmdd.models.names import check_name
from wmdd.pipeline.recipe import Recipe, read_recipe, write_recipe
from wmdd.protocols import find_protocol
from wmdd.recipes import RECIPES, choose_recipe, find_recipe

CARD = ("Source", "Command", "Cost", "Expected", "Last measured")


def test_the_shipped_recipes() -> None:
    assert {"digits", "imagenette", "imagenette64"} <= set(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_builds_and_names_what_exists(name: str) -> None:
    recipe = find_recipe(name)
    check_method(recipe.method)
    for arch in (recipe.squeeze.arch, *recipe.evaluate.students):
        check_name(arch)
    for protocol in recipe.evaluate.protocols:
        find_protocol(protocol)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_survives_yaml(name: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(write_recipe(find_recipe(name)), encoding="utf-8")
    assert read_recipe(path) == find_recipe(name)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_has_a_lab_card(name: str) -> None:
    card = RECIPES[name].__doc__ or ""
    assert card.split("\n")[0].endswith(".")
    for label in CARD:
        assert re.search(rf"^ *{label}\b.*: *\S", card, re.MULTILINE), f"{name}: no {label}"
    assert f"--recipe {name}" in card


def test_the_recipe_that_is_meant(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("ipc: 3\n", encoding="utf-8")
    assert choose_recipe("digits", None) == find_recipe("digits")
    assert choose_recipe("a/folder", None) == Recipe()
    assert choose_recipe("a/folder", "digits") == find_recipe("digits")
    assert choose_recipe("digits", path).ipc == 3
    assert choose_recipe("digits", str(path)).ipc == 3


def test_unknown_recipes_are_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="got 'digit'; did you mean 'digits'"):
        find_recipe("digit")
    with pytest.raises(ConfigError, match=r"cannot read recipe .*nowhere\.yaml"):
        choose_recipe("digits", tmp_path / "nowhere.yaml")
