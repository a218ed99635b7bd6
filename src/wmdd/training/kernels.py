"""The tangent kernels that regression has, by name."""

from functools import partial
from typing import get_args

from wmdd.errors import ConfigError, did_you_mean
from wmdd.settings import TangentKernel
from wmdd.training.conv_ntk import conv_tangent_kernel, require_pooled_images
from wmdd.training.ntk import KernelFunction, tangent_kernel

_CONV = "convnet"


def kernel_named(name: str) -> KernelFunction:
    """Return a kernel by its name among `TangentKernel`.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in get_args(TangentKernel):
        raise ConfigError(f"unknown kernel; got {name!r}{did_you_mean(name, get_args(TangentKernel))}")
    return partial(conv_tangent_kernel, blocks=blocks) if (blocks := _blocks(name)) else tangent_kernel


def require_kernel(name: TangentKernel, side: int) -> None:
    """Refuse images of a side that does not suit a kernel.

    Raises:
        ConfigError: they are too small to be pooled, or too large for the memory that a pair of them takes.
    """
    if blocks := _blocks(name):
        require_pooled_images(side, blocks)


def _blocks(name: str) -> int:
    """Return how many blocks with pooling a kernel has; 0 = it is the fully connected one."""
    return int(name.removeprefix(_CONV)) if name.startswith(_CONV) else 0
