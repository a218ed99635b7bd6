"""Recipes: settings of a run or of a bench, as functions; each docstring is a lab card."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wmdd.errors import ConfigError, WmddError, did_you_mean
from wmdd.evaluation.rows import BASELINE
from wmdd.methods.catalogue import complete, read_recipe
from wmdd.pipeline.bench_recipe import BenchRecipe
from wmdd.recipes.cifar10 import cifar10
from wmdd.recipes.digits import digits
from wmdd.recipes.imagenet1k import imagenet1k
from wmdd.recipes.imagenette import imagenette, imagenette64
from wmdd.recipes.kernels import KERNEL_TABLES
from wmdd.recipes.paper_tables import PAPER_TABLES
from wmdd.recipes.pictures import pictures
from wmdd.recipes.tables import SMALL_TABLES
from wmdd.recipes.testbed import testbed
from wmdd.recipes.tiny_imagenet import tiny_imagenet
from wmdd.settings.recipe import Tree, merged, read_tree

RECIPES: dict[str, Callable[[], Tree]] = {
    recipe.__name__.replace("tiny_imagenet", "tiny-imagenet"): recipe
    for recipe in (pictures, digits, cifar10, testbed, imagenette64, imagenette, tiny_imagenet, imagenet1k)
}
BENCHES: dict[str, Callable[[], BenchRecipe]] = {**SMALL_TABLES, **KERNEL_TABLES, **PAPER_TABLES}


def find_recipe(name: str) -> Tree:
    """Return the settings of the recipe called `name`; it may hold those of several methods.

    Raises:
        ConfigError: there is none; the message names the nearest.
    """
    if name in BENCHES:
        raise ConfigError(f"a bench recipe is a whole table; got {name!r}; type `wmdd bench DATA --recipe {name}`")
    if name not in RECIPES:
        raise ConfigError(f"unknown recipe; got {name!r}{did_you_mean(name, RECIPES)}")
    return RECIPES[name]()


def choose_recipe(data: str, recipe: str | Path | None) -> Tree:
    """Return the settings of a file or of a named recipe; for None, of that called like the data, else of `pictures`.

    Raises:
        ConfigError: there is no such recipe, or the file cannot be read or names a setting that its method does not
            read.
    """
    if recipe is None:
        return find_recipe(data if data in RECIPES else pictures.__name__)
    path = Path(recipe)
    if path.suffix in {".yaml", ".yml"} or os.path.exists(path):
        return read_recipe(path)
    return find_recipe(str(recipe))


def choose_bench(data: str, recipe: str | Path | None) -> BenchRecipe:
    """Return the bench recipe of a name or a file; of a plain recipe, that of its method beside random images.

    Raises:
        ConfigError: there is no such recipe, or the file cannot be read.
    """
    if recipe is not None:
        path = Path(recipe)
        if str(recipe) in BENCHES:
            return BENCHES[str(recipe)]()
        if path.suffix in {".yaml", ".yml"} or os.path.exists(path):
            tree = read_tree(path)
            if "base" in tree or "methods" in tree:
                return _bench_of_file(tree, path)
        elif str(recipe) not in RECIPES:
            known = [*BENCHES, *RECIPES]
            raise ConfigError(f"unknown recipe; got {str(recipe)!r}{did_you_mean(str(recipe), known)}")
    base = choose_recipe(data, recipe)
    own = complete(base)
    return BenchRecipe(base=dict(base), methods=(BASELINE, own.method), ipcs=(own.ipc,))


def _bench_of_file(tree: dict[str, Any], path: Path) -> BenchRecipe:
    """Return the bench recipe that a YAML file at `path` holds; its `base` is a recipe's name or settings."""
    base = tree.get("base", {})
    try:
        tree["base"] = find_recipe(base) if isinstance(base, str) else base
        bench = BenchRecipe(**tree)
        complete(merged(bench.base, {"method": BASELINE}))
    except WmddError as error:
        raise ConfigError(f"{path}: {error}") from None
    return bench
