"""Loops that NumPy cannot express at speed, compiled by Numba to machine code that releases the GIL."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from numba import config, njit

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Return the function compiled at its first call; the machine code is cached beside the source.

    No fast-math: additions keep their order, so results do not depend on the processor's vector length.
    """
    try:
        return cast(Function, njit(cache=True, nogil=True)(function))
    except RuntimeError:  # nowhere to cache it: installed read-only, and no home
        return cast(Function, njit(nogil=True)(function))


def compiled_before() -> bool:
    """Return whether machine code lies where it is cached, so that the first call need not wait for the compiler."""
    places = (getattr(config, "CACHE_DIR", ""), Path(__file__).parent / "__pycache__")
    return any(any(Path(place).rglob("*.nbi")) for place in places if place)
