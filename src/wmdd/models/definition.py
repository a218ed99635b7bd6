"""A network in words and code, so that others can build it without this package."""

import torch

from wmdd.models.building import build_model, timm_name, timm_options
from wmdd.models.names import NETWORKS, SHUFFLENETS, parse_convnet
from wmdd.models.stems import apply_small_stem
from wmdd.values import ModelSpec

_NORMS = {"in": "instance norm", "bn": "BatchNorm", "nn": "no normalisation"}


def definition(spec: ModelSpec) -> str:
    """Return how to build a network, and the number of its parameters.

    Raises:
        ConfigError: it cannot be built.
    """
    with torch.random.fork_rng(devices=[]), torch.device("meta"):  # shapes only
        model = build_model(spec)
        small = spec.stem == "small" and spec.arch not in NETWORKS and apply_small_stem(model)
    stem = ", the first convolution 3 x 3 at stride 1 and no pooling after it" if small else ""
    size = f"{spec.channels} x {spec.image_size} x {spec.image_size}"
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return f"{_maker(spec)}{stem}, for {size} images and {spec.num_classes} classes: {parameters:,} parameters"


def _maker(spec: ModelSpec) -> str:
    if spec.arch in NETWORKS:
        return f"`{spec.arch}` of the package {NETWORKS.owner(spec.arch)}"
    convnet = parse_convnet(spec.arch)
    if convnet is not None:
        block = f"3 x 3 convolution to {convnet.width} channels, {_NORMS[convnet.norm]}, ReLU, 2 x 2 average pooling"
        return f"ConvNet of {convnet.depth} blocks ({block}) and a linear layer"
    name = timm_name(spec.arch)
    if name is None:
        return f"`torchvision.models.shufflenet_v2_{SHUFFLENETS[spec.arch]}`"
    options = "".join(f", {key}={value!r}" for key, value in timm_options(spec, name).items())
    return f'`timm.create_model("{name}"{options})`'
