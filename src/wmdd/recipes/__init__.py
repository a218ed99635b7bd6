"""Recipes: complete settings as functions that return a `Recipe`; each docstring is a lab card."""

from collections.abc import Callable

from wmdd.errors import ConfigError, did_you_mean
from wmdd.pipeline.recipe import Recipe
from wmdd.recipes.digits import digits
from wmdd.recipes.imagenette import imagenette, imagenette64

RECIPES: dict[str, Callable[[], Recipe]] = {recipe.__name__: recipe for recipe in (digits, imagenette, imagenette64)}


def find_recipe(name: str) -> Recipe:
    """Return the recipe called `name`.

    Raises:
        ConfigError: there is none; the message names the nearest.
    """
    if name not in RECIPES:
        raise ConfigError(f"unknown recipe; got {name!r}{did_you_mean(name, RECIPES)}")
    return RECIPES[name]()
