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
    "DistilledSet": "wmdd.values",
    "Evaluation": "wmdd.values",
    "Recipe": "wmdd.settings",
    "Run": "wmdd.pipeline.run",
    "WmddError": "wmdd.errors",
    "barycenter": "wmdd.ot",
    "bench": "wmdd.api",
    "distill": "wmdd.api",
    "evaluate": "wmdd.api",
    "load": "wmdd.product.reading",
    "wasserstein2": "wmdd.ot",
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
    if name not in _HOMES:
        raise AttributeError(f"module 'wmdd' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
