"""Recipes: complete settings as functions that return a `Recipe`; each docstring is a lab card."""

from collections.abc import Callable
from pathlib import Path

from wmdd.errors import ConfigError, did_you_mean
from wmdd.pipeline.recipe import Recipe, read_recipe
from wmdd.recipes.cifar10 import cifar10
from wmdd.recipes.digits import digits
from wmdd.recipes.imagenet1k import imagenet1k
from wmdd.recipes.imagenette import imagenette, imagenette64
from wmdd.recipes.tiny_imagenet import tiny_imagenet

RECIPES: dict[str, Callable[[], Recipe]] = {
    recipe.__name__.replace("tiny_imagenet", "tiny-imagenet"): recipe
    for recipe in (digits, cifar10, imagenette64, imagenette, tiny_imagenet, imagenet1k)
}


def find_recipe(name: str) -> Recipe:
    """Return the recipe called `name`.

    Raises:
        ConfigError: there is none; the message names the nearest.
    """
    if name not in RECIPES:
        raise ConfigError(f"unknown recipe; got {name!r}{did_you_mean(name, RECIPES)}")
    return RECIPES[name]()


def choose_recipe(data: str, recipe: str | Path | None) -> Recipe:
    """Return the recipe that is meant: a file, a name, or for None the one called like the data, else the defaults.

    Raises:
        ConfigError: there is no such recipe, or the file cannot be read.
    """
    if recipe is None:
        return find_recipe(data) if data in RECIPES else Recipe()
    path = Path(recipe)
    return read_recipe(path) if path.suffix in {".yaml", ".yml"} or path.exists() else find_recipe(str(recipe))
