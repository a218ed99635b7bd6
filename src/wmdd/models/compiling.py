"""Networks compiled by torch.compile: fewer passes over memory, where a network runs thousands of times unchanged.

TorchInductor keeps what it has compiled in `TORCHINDUCTOR_CACHE_DIR`, by default a folder of the user's where the
system keeps temporary files, so that a later process compiles in a fraction of the time.
"""

from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from typing import cast

import torch
from torch import Tensor, nn

from wmdd.context import Context
from wmdd.errors import ConfigError


def compiled(model: nn.Module, ctx: Context) -> nn.Module:
    """Return a network that shares everything with `model`, compiled for each shape of images that it meets.

    `model` itself if the context does not ask for it, or where nothing can be compiled, which is said. Taps may be on
    either: what they do becomes a part of the compiled code. Answers agree with those of `model` to rounding.
    """
    if not ctx.compile:
        return model
    reason = _why_not(ctx.device)
    if reason:
        ctx.warn(
            "not compiled",
            f"{ctx.stage}: networks ran as they are, for nothing can be compiled here ({reason}); "
            "install a C++ compiler (g++), or leave out `compile`",
        )
        return model
    torch.compiler.reset()  # code is kept for eight networks at most; of earlier ones nothing is needed
    return cast("nn.Module", torch.compile(model, dynamic=False))


@contextmanager
def failures_told() -> Generator[None]:
    """Say in one line what stops a compiler inside the `with`: code is made when networks of `compiled` first run.

    Raises:
        ConfigError: code that was to run could not be compiled, although a first try could.
    """
    try:
        yield
    except RuntimeError as error:
        if not type(error).__module__.startswith(("torch._dynamo.", "torch._inductor.")):
            raise
        raise ConfigError(
            f"compile: this network cannot be compiled here; got {_first_line(error)}; leave out `compile`"
        ) from error


@cache
def _why_not(device: torch.device) -> str:
    """Return why nothing can be compiled for a device; empty if it can."""
    try:
        torch.compile(_probe)(torch.zeros(8, device=device))
    except Exception as error:  # noqa: BLE001 - whatever is missing: a compiler, its headers, Triton
        return _first_line(error)
    return ""


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _probe(values: Tensor) -> Tensor:
    return (values + 1).relu()
