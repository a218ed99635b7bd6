"""Names of the networks, and what each is; free of torch, so that the command line can list and check them quickly."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wmdd.errors import ConfigError, did_you_mean
from wmdd.plugins import Plugins

if TYPE_CHECKING:
    from torch import nn

    from wmdd.values import ModelSpec

TIMM_NAMES = {
    "resnet18": "resnet18",
    "resnet34": "resnet34",
    "resnet50": "resnet50",
    "resnet101": "resnet101",
    "vit_tiny": "vit_tiny_patch16_224",
    "vit_small": "vit_small_patch16_224",
    "mobilenetv2": "mobilenetv2_100",
    "efficientnet_b0": "efficientnet_b0",
    "densenet121": "densenet121",
}
"""Our name -> timm's."""

SHUFFLENETS = {"shufflenetv2": "x1_0", "shufflenetv2_x0_5": "x0_5"}
"""Our name -> width in torchvision's name."""
TIMM_PREFIX = "timm:"
SMALL_BELOW = 96
"""Images smaller than this get the small stem when the stem is `auto`."""

_DESCRIPTIONS = {
    "resnet18": "ResNet-18: the paper's teacher and student",
    "resnet34": "ResNet-34",
    "resnet50": "ResNet-50",
    "resnet101": "ResNet-101",
    "vit_tiny": "ViT-Tiny (student only: no BatchNorm); the patch follows the image size",
    "vit_small": "ViT-Small (student only: no BatchNorm); the patch follows the image size",
    "mobilenetv2": "MobileNet-V2, width 1.0",
    "efficientnet_b0": "EfficientNet-B0",
    "shufflenetv2": "ShuffleNet-V2, width 1.0 (torchvision)",
    "shufflenetv2_x0_5": "ShuffleNet-V2, width 0.5 (torchvision): one of G-VBSM's teachers",
    "densenet121": "DenseNet-121",
    "convnet3": "ConvNet-D3-W128 with instance norm (student only: no BatchNorm), usual in dataset condensation",
    "convnet3_bn": "ConvNet-D3-W128 with BatchNorm",
    "convnet{D}[_w{W}][_bn|_in|_nn]": "ConvNet of D blocks and width W, such as convnet2_w32_bn; nn = no normalisation",
    "timm:NAME": "any classifier of timm that ends in a linear layer",
}

BATCHNORM_EXAMPLES = (
    "resnet18",
    "resnet50",
    "mobilenetv2",
    "efficientnet_b0",
    "shufflenetv2",
    "densenet121",
    "convnet3_bn",
)
"""Networks to suggest where BatchNorm is needed."""

_CONVNET = re.compile(r"convnet(?P<depth>[1-9])(?:_w(?P<width>[1-9]\d*))?(?:_(?P<norm>bn|in|nn))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvNetName:
    """The parts of a ConvNet's name."""

    depth: int
    width: int
    norm: str
    """`"in"`, `"bn"`, or `"nn"` for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network of another package; docs/extending/network.md writes one."""

    name: str
    build: "Callable[[ModelSpec], nn.Module]"
    """`build(spec)` → a fresh network for `spec.channels` x `spec.image_size`² images that ends in one linear layer of
    `spec.num_classes` outputs, called `fc` or returned by `get_classifier()`; its stem is its own affair.

    It draws from torch's global stream, which the caller seeds."""


NETWORKS = Plugins(
    word="network",
    group="wmdd.models",
    kind=Network,
    public="wmdd.models.names.Network",
    taken=lambda name: is_built_in(name),
)
"""The networks of other packages."""


def list_models() -> dict[str, str]:
    """Return name (or pattern of names) -> one-line description; those of packages last, which are not imported."""
    return NETWORKS.beside(_DESCRIPTIONS)


def parse_convnet(arch: str) -> ConvNetName | None:
    """Read a name such as `convnet2_w32_bn` (without them: width 128, instance norm); None if it is no such name."""
    match = _CONVNET.fullmatch(arch)
    if match is None:
        return None
    return ConvNetName(depth=int(match["depth"]), width=int(match["width"] or 128), norm=match["norm"] or "in")


def is_built_in(arch: str) -> bool:
    """Return whether `arch` is a network of ours, or of the form `timm:NAME`, which is looked up later."""
    if arch in TIMM_NAMES or arch in SHUFFLENETS or parse_convnet(arch) is not None:
        return True
    return arch.startswith(TIMM_PREFIX) and arch != TIMM_PREFIX


def check_name(arch: str) -> None:
    """Raise `ConfigError` unless `arch` is a network of ours or a package's; neither timm nor the package is asked."""
    if not is_built_in(arch) and arch not in NETWORKS:
        known = [*TIMM_NAMES, *SHUFFLENETS, "convnet3", "convnet3_bn", "timm:NAME", *NETWORKS.names()]
        raise ConfigError(f"unknown network {arch!r}{did_you_mean(arch, known)}")
