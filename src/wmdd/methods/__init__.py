"""Methods: a folder each, with its card (`__init__.py`) and its algorithm (`distill.py`); several share `kits/`.

The names here are all that a method of your own needs; docs/extending.md shows how to add one. They are loaded on first
use, because cards are listed without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wmdd.methods.algorithm import Algorithm, Result, Size, Stages, Work, squeezed
    from wmdd.methods.method import Method
    from wmdd.stages.stage import Stage

_HOMES = {
    "wmdd.methods.method": ("Method",),
    "wmdd.methods.algorithm": ("Algorithm", "Result", "Size", "Stages", "Work", "squeezed"),
    "wmdd.stages.stage": ("Stage",),
}

__all__ = ["Algorithm", "Method", "Result", "Size", "Stage", "Stages", "Work", "squeezed"]


def __getattr__(name: str) -> Any:
    home = next((home for home, names in _HOMES.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module 'wmdd.methods' has no attribute {name!r}")
    return getattr(import_module(home), name)
