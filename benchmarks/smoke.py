"""Every stage and every method on a device, against the CPU: the cases of `tests/device`, on a real device.

Precision is full: cuDNN's TF32, which keeps ten bits of the mantissa, is off. A value differs beyond `TOLERANCE`, an
8-bit pixel beyond one level. Sums of another order differ in their last bits, and Adam's first step takes the sign of
a gradient however small it is: so a few values may differ, but no more than `SHARE` of those of a result.
"""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "device"))

import test_methods_on_the_device as methods
import test_stages_on_the_device as stages

from fake_cuda import tensors_of
from wmdd.context import Context

TOLERANCE = 1e-3
"""Of a value, absolute and relative."""
SHARE = 0.01
"""Of the values of a result that may differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How a result on the device compares with that on the CPU."""

    case: str
    values: int = 0
    differ: int = 0
    """Values beyond the tolerance."""
    largest: float = 0.0
    """Largest difference of all."""
    error: str = ""
    """Why there is no result; empty = there is one."""
    seconds: float = 0.0
    """On the device, the first time."""

    @property
    def holds(self) -> bool:
        """Whether the results agree."""
        return not self.error and self.differ <= SHARE * self.values

    @property
    def text(self) -> str:
        """In a line."""
        said = self.error or f"{self.differ} of {self.values} values differ, at most by {self.largest:.1e}"
        return f"{'agrees' if self.holds else 'FAILS':7} {self.case}: {said} ({self.seconds:.1f} s)"


def cases() -> dict[str, Callable[[torch.device], Any]]:
    """Return what is run on a device, by name: every stage, then every method."""

    def stage(name: str) -> Callable[[torch.device], Any]:
        return lambda device: stages.CASES[name].run(Context(seed=1, device=device))

    def method(name: str) -> Callable[[torch.device], Any]:
        return lambda device: methods.distilled(name, str(device))

    return {
        **{f"stage {name}": stage(name) for name in stages.CASES},
        **{f"method {name}": method(name) for name in methods.CASES},
    }


def compare(case: str, device: torch.device) -> Agreement:
    """Run a case on the CPU and on the device, and compare all tensors of what it returns."""
    run = cases()[case]
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        expected = run(torch.device("cpu"))  # what the case rests on is made here too
        began = time.perf_counter()
        try:
            found = run(device)
        except Exception as error:  # noqa: BLE001 - one case that fails must not hide the others
            return Agreement(case=case, error=" ".join(f"{type(error).__name__}: {error}".split())[:200])
        return _agreement(case, found, expected, time.perf_counter() - began)


def _agreement(case: str, found: Any, expected: Any, seconds: float) -> Agreement:
    values = differ = 0
    largest = 0.0
    for (name, one), (other_name, other) in zip(tensors_of(found), tensors_of(expected), strict=True):
        if name != other_name or one.shape != other.shape or one.device.type != "cpu":
            got = f"{name} {tuple(one.shape)} on {one.device}"
            return Agreement(case=case, error=f"{other_name} {tuple(other.shape)} on the CPU became {got}")
        apart = _apart(one, other)
        allowed = 1.0 if one.dtype == torch.uint8 else TOLERANCE * (1 + other.double().nan_to_num().abs())
        values, differ = values + apart.numel(), differ + int((apart > allowed).sum())
        largest = max(largest, float(apart.max()) if apart.numel() else 0.0)
    return Agreement(case=case, values=values, differ=differ, largest=largest, seconds=seconds)


def _apart(one: Tensor, other: Tensor) -> Tensor:
    """Return the distance of values; where neither is a number it is 0, where one is not it is infinite."""
    apart = (one.double() - other.double()).abs()
    same = (one == other) | (one.isnan() & other.isnan())
    return torch.where(same, 0.0, apart.nan_to_num(nan=float("inf")))


def smoke(device: torch.device, only: str = "") -> Iterator[Agreement]:
    """Yield how every case whose name contains `only` compares."""
    for case in cases():
        if only in case:
            yield compare(case, device)
