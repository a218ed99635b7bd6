"""First layers of a network: ImageNet's as they are, or changed for small images."""

from torch import nn


def apply_small_stem(model: nn.Module) -> bool:
    """Make the first convolution keep the resolution and drop the first pooling, in place; tell whether there are such.

    ResNets and DenseNets get a 3 x 3 convolution of stride 1 instead of 7 x 7 of stride 2 and no max-pool; MobileNets,
    EfficientNets and ShuffleNets keep their 3 x 3 convolution, at stride 1. Networks without such layers stay as they
    are: a ViT's patch is chosen when it is built (`patch_size`).
    """
    for name, pool in (
        ("conv1", "maxpool"),
        ("conv_stem", None),
        ("conv1.0", "maxpool"),
        ("features.conv0", "features.pool0"),
    ):
        conv = _find(model, name)
        if not isinstance(conv, nn.Conv2d):
            continue
        if conv.kernel_size == (3, 3):
            conv.stride = (1, 1)
        else:
            replace(model, name, conv_like(conv, kernel=3))
        if pool is not None and _find(model, pool) is not None:
            replace(model, pool, nn.Identity())
        return True
    return False


def patch_size(image_size: int, stem: str, native: int = 16) -> int:
    """Return the side of a ViT's patches: its `native` one, or with the small stem an eighth of the image, at least 2.

    It is lowered to the next divisor of the image size where need be, so that no pixel is left out.
    """
    wanted = min(native, max(2, image_size // 8)) if stem == "small" else min(native, image_size)
    return next(side for side in range(wanted, 0, -1) if image_size % side == 0)


def conv_like(conv: nn.Conv2d, *, kernel: int | None = None, channels: int | None = None) -> nn.Conv2d:
    """Return a fresh convolution like `conv`, with another input width, or with another kernel at stride 1."""
    size = conv.kernel_size[0] if kernel is None else kernel
    stride = conv.stride[0] if kernel is None else 1
    inputs = conv.in_channels if channels is None else channels
    fresh = nn.Conv2d(inputs, conv.out_channels, size, stride, padding=size // 2, bias=conv.bias is not None)
    nn.init.kaiming_normal_(fresh.weight, mode="fan_out", nonlinearity="relu")
    return fresh


def replace(model: nn.Module, name: str, module: nn.Module) -> None:
    """Put `module` in the place of the submodule called `name`."""
    parent, _, child = name.rpartition(".")
    model.get_submodule(parent).register_module(child, module)


def _find(model: nn.Module, name: str) -> nn.Module | None:
    try:
        return model.get_submodule(name)
    except AttributeError:
        return None
