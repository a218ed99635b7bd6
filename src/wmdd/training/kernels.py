"""The tangent kernels that regression has, by name."""

from functools import partial

from wmdd.settings import TangentKernel
from wmdd.training.conv_ntk import conv_tangent_kernel, require_pooled_images
from wmdd.training.ntk import KernelFunction, tangent_kernel

_CONV = "convnet"


def kernel_named(name: TangentKernel) -> KernelFunction:
    """Return a kernel by its name."""
    return partial(conv_tangent_kernel, blocks=blocks) if (blocks := _blocks(name)) else tangent_kernel


def require_kernel(name: TangentKernel, side: int) -> None:
    """Refuse images of a side that does not suit a kernel.

    Raises:
        ConfigError: they are too small to be pooled, or too large for the memory that a pair of them takes.
    """
    if blocks := _blocks(name):
        require_pooled_images(side, blocks)


def network_of(name: TangentKernel) -> str:
    """Return the network that is infinitely wide, in words."""
    if blocks := _blocks(name):
        repeated = f"{blocks} block{'' if blocks == 1 else 's'} of 3 x 3 convolution, ReLU and 2 x 2 mean pooling"
        return f"a ConvNet (3 x 3 convolution and ReLU, {repeated}, all padded by zeros, a dense layer)"
    return "a fully connected ReLU network of one hidden layer"


def _blocks(name: str) -> int:
    """Return how many blocks with pooling a kernel has; 0 = it is the fully connected one."""
    return int(name.removeprefix(_CONV)) if name.startswith(_CONV) else 0
