"""wmdd: dataset distillation with the Wasserstein metric.

The public names are loaded on first use, so that importing the package is quick.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wmdd.api import bench, distill, evaluate
    from wmdd.errors import WmddError
    from wmdd.ot import barycenter, wasserstein2
    from wmdd.pipeline.run import Run
    from wmdd.product.reading import load
    from wmdd.settings import Recipe
    from wmdd.values import DistilledSet, Evaluation

_HOMES = {
    "wmdd.api": ("bench", "distill", "evaluate"),
    "wmdd.errors": ("WmddError",),
    "wmdd.ot": ("barycenter", "wasserstein2"),
    "wmdd.pipeline.run": ("Run",),
    "wmdd.product.reading": ("load",),
    "wmdd.settings": ("Recipe",),
    "wmdd.values": ("DistilledSet", "Evaluation"),
}

__all__ = [
    "DistilledSet",
    "Evaluation",
    "Recipe",
    "Run",
    "WmddError",
    "barycenter",
    "bench",
    "distill",
    "evaluate",
    "load",
    "wasserstein2",
]

try:
    __version__ = version("wmdd")
except PackageNotFoundError:  # pragma: no cover - a source tree that was not installed
    __version__ = "unknown"


def __getattr__(name: str) -> Any:
    home = next((home for home, names in _HOMES.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module 'wmdd' has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
