"""Recipes: complete settings of a run or of a bench, as functions; each docstring is a lab card."""

from collections.abc import Callable
from pathlib import Path

from wmdd.errors import ConfigError, did_you_mean
from wmdd.pipeline.bench_recipe import BASELINE, BenchRecipe, build_bench, is_bench
from wmdd.pipeline.recipe import Recipe, read_recipe, read_tree
from wmdd.recipes.cifar10 import cifar10
from wmdd.recipes.digits import digits
from wmdd.recipes.imagenet1k import imagenet1k
from wmdd.recipes.imagenette import imagenette, imagenette64
from wmdd.recipes.paper import PAPER_TABLES
from wmdd.recipes.tables import SMALL_TABLES
from wmdd.recipes.tiny_imagenet import tiny_imagenet

RECIPES: dict[str, Callable[[], Recipe]] = {
    recipe.__name__.replace("tiny_imagenet", "tiny-imagenet"): recipe
    for recipe in (digits, cifar10, imagenette64, imagenette, tiny_imagenet, imagenet1k)
}
BENCHES: dict[str, Callable[[], BenchRecipe]] = {**SMALL_TABLES, **PAPER_TABLES}


def find_recipe(name: str) -> Recipe:
    """Return the recipe called `name`.

    Raises:
        ConfigError: there is none; the message names the nearest.
    """
    if name in BENCHES:
        raise ConfigError(f"a bench recipe is a whole table; got {name!r}; type `wmdd bench DATA --recipe {name}`")
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


def choose_bench(data: str, recipe: str | Path | None) -> BenchRecipe:
    """Return the bench recipe that is meant: a name or a file; of a plain recipe, its method beside random images.

    Raises:
        ConfigError: there is no such recipe, or the file cannot be read.
    """
    if recipe is not None:
        path = Path(recipe)
        if str(recipe) in BENCHES:
            return BENCHES[str(recipe)]()
        if path.suffix in {".yaml", ".yml"} or path.exists():
            tree = read_tree(path)
            if is_bench(tree):
                return build_bench(tree, find_recipe, path)
        elif str(recipe) not in RECIPES:
            known = [*BENCHES, *RECIPES]
            raise ConfigError(f"unknown recipe; got {str(recipe)!r}{did_you_mean(str(recipe), known)}")
    base = choose_recipe(data, recipe)
    return BenchRecipe(base=base, methods=(BASELINE, base.method), ipcs=(base.ipc,))
