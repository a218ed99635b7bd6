"""A network in words and code, so that others can build it without this package."""

from wmdd.models.building import timm_name, timm_options
from wmdd.models.names import parse_convnet
from wmdd.values import ModelSpec

_SMALL = "; first convolution 3 x 3 at stride 1, no pooling after it"


def definition(spec: ModelSpec) -> str:
    """Return how to build a network.

    Raises:
        ConfigError: timm does not know it.
    """
    form = f"for {spec.channels} x {spec.image_size} x {spec.image_size} images, {spec.num_classes} classes"
    convnet = parse_convnet(spec.arch)
    if convnet is not None:
        norm = {"in": "instance norm", "bn": "BatchNorm", "nn": "no normalisation"}[convnet.norm]
        return (
            f"ConvNet {form}: {convnet.depth} blocks of a 3 x 3 convolution to {convnet.width} channels, {norm}, ReLU, "
            "2 x 2 average pooling; one linear layer"
        )
    name = timm_name(spec.arch)
    if name is None:
        return f"ShuffleNet-V2 {form}: torchvision's shufflenet_v2_x1_0{_SMALL * (spec.stem == 'small')}"
    options = "".join(f", {key}={value!r}" for key, value in timm_options(spec, name).items())
    small = spec.stem == "small" and "patch_size" not in timm_options(spec, name)
    return f"timm.create_model({name!r}{options}) {form}{_SMALL * small}"
