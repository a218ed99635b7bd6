"""Names of the networks, and what each is; free of torch, so that the command line can list and check them quickly."""

import re
from dataclasses import dataclass

from wmdd.errors import ConfigError, did_you_mean

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


def list_models() -> dict[str, str]:
    """Return name (or pattern of names) -> one-line description."""
    return dict(_DESCRIPTIONS)


def parse_convnet(arch: str) -> ConvNetName | None:
    """Read a name such as `convnet2_w32_bn` (without them: width 128, instance norm); None if it is no such name."""
    match = _CONVNET.fullmatch(arch)
    if match is None:
        return None
    return ConvNetName(depth=int(match["depth"]), width=int(match["width"] or 128), norm=match["norm"] or "in")


def check_name(arch: str) -> None:
    """Raise `ConfigError` unless `arch` is a network of ours; `timm:NAME` is accepted here and looked up later."""
    known = {*TIMM_NAMES, *SHUFFLENETS}
    if arch in known or parse_convnet(arch) is not None or (arch.startswith(TIMM_PREFIX) and arch != TIMM_PREFIX):
        return
    raise ConfigError(f"unknown network {arch!r}{did_you_mean(arch, [*known, 'convnet3', 'convnet3_bn', 'timm:NAME'])}")
