"""wmdd: dataset distillation with the Wasserstein metric.

The public names are loaded on first use, so that importing the package is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wmdd.api import bench, distill, evaluate, predict, worth
    from wmdd.errors import WmddError
    from wmdd.ot import barycenter, wasserstein2
    from wmdd.pipeline.run import Run
    from wmdd.product.reading import load
    from wmdd.settings import Recipe
    from wmdd.values import DistilledSet, Evaluation

    __version__: str

_HOMES = {
    "wmdd.api": ("bench", "distill", "evaluate", "predict", "worth"),
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
    "predict",
    "wasserstein2",
    "worth",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    home = next((home for home, names in _HOMES.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module 'wmdd' has no attribute {name!r}")
    return getattr(import_module(home), name)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - slow to import, needed by few

    try:
        return version("wmdd")
    except PackageNotFoundError:  # pragma: no cover - a source tree that was not installed
        return "unknown"


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
