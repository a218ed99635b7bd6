"""Methods: which stages, wired how. One small file each, one row in the table.

What a method of your own needs is here; docs/extending.md shows how to add one. Names are loaded on first use, because
the table of methods is listed without what the methods need.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wmdd.methods._method import Method, MethodSettings, Result, Stages
    from wmdd.stages.stage import Stage

__all__ = ["Method", "MethodSettings", "Result", "Stage", "Stages"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'wmdd.methods' has no attribute {name!r}")
    return getattr(import_module("wmdd.stages.stage" if name == "Stage" else "wmdd.methods._method"), name)
