"""From a name to a network of timm, of torchvision or our own ConvNet: fresh, or a teacher with its weights.

timm and torchvision take seconds to import, so only networks of theirs import them.
"""

import re
from typing import Any

import torch
from torch import nn

from wmdd.context import Context, seeded, stream_seed
from wmdd.errors import ConfigError, did_you_mean
from wmdd.models.convnet import ConvNet
from wmdd.models.names import NETWORKS, SHUFFLENETS, SMALL_BELOW, TIMM_NAMES, TIMM_PREFIX, check_name, parse_convnet
from wmdd.models.stems import apply_small_stem, conv_like, patch_size, replace
from wmdd.models.taps import final_classifier
from wmdd.plugins import in_words
from wmdd.values import ImageSet, ModelSpec, Teacher

_STEMS = ("auto", "imagenet", "small")
_PATCH = re.compile(r"_patch(\d+)_")


def resolve_spec(arch: str, *, num_classes: int, channels: int, image_size: int, stem: str = "auto") -> ModelSpec:
    """Return the specification of a network for these images; `auto` becomes the small stem below 96 pixels.

    Raises:
        ConfigError: the name is unknown (with the nearest known one), or the images are too small for it.
    """
    check_name(arch)
    if arch.startswith(TIMM_PREFIX):
        timm_name(arch)
    if stem not in _STEMS:
        raise ConfigError(f"unknown stem {stem!r}{did_you_mean(stem, _STEMS)}")
    convnet = parse_convnet(arch)
    if convnet is not None and image_size >> convnet.depth == 0:
        most = image_size.bit_length() - 1
        raise ConfigError(
            f"{arch} halves images {convnet.depth} times; got {image_size} pixels; use {most} blocks at most"
        )
    if stem == "auto":
        stem = "small" if image_size < SMALL_BELOW else "imagenet"
    return ModelSpec(arch=arch, num_classes=num_classes, channels=channels, image_size=image_size, stem=stem)


def network_spec(arch: str, train: ImageSet, stem: str) -> ModelSpec:
    """Return the specification of a network for `train`; see `resolve_spec`.

    Raises:
        ConfigError: the architecture is unknown, or the images do not suit it.
    """
    return resolve_spec(
        arch,
        num_classes=len(train.classes),
        channels=train.channels,
        image_size=train.image_size,
        stem=stem,
    )


def build_model(spec: ModelSpec) -> nn.Module:
    """Return a fresh network, initialised from torch's global random stream; the caller seeds it.

    Raises:
        ConfigError: the network cannot be built for such images, or does not end in one linear layer.
    """
    if spec.arch in NETWORKS:
        return _packaged(spec)
    model = _construct(spec)
    final_classifier(model)
    if spec.stem == "small":
        apply_small_stem(model)
    return model


def fresh_network(spec: ModelSpec, ctx: Context, *names: str | int) -> nn.Module:
    """Return the random network that belongs to `names`, in train mode, on the device of `ctx`."""
    with seeded(stream_seed(ctx.seed, ctx.stage, *names), torch.device("cpu")):
        model = build_model(spec)
    return model.to(ctx.device, non_blocking=ctx.device.type == "cuda").train()


def build_teacher(teacher: Teacher, device: torch.device | str = "cpu", *, channels_last: bool = True) -> nn.Module:
    """Return the teacher's network with its weights: in eval mode, without gradients of parameters, on `device`.

    Does not touch torch's global random stream.
    """
    with torch.random.fork_rng(devices=[]):
        model = build_model(teacher.spec)
    model.load_state_dict(dict(teacher.weights), strict=True)
    model = model.eval().requires_grad_(False).to(device)
    return model.to(memory_format=torch.channels_last) if channels_last else model  # pyright: ignore[reportCallIssue]


def timm_name(arch: str) -> str | None:
    """Return timm's name of `arch`, or None if it is not a network of timm's.

    Raises:
        ConfigError: `timm:NAME` with a name that timm does not know.
    """
    if not arch.startswith(TIMM_PREFIX):
        return TIMM_NAMES.get(arch)
    import timm  # noqa: PLC0415 - slow to import

    name = arch.removeprefix(TIMM_PREFIX)
    if not timm.is_model(name):
        raise ConfigError(f"timm has no network {name!r}{_nearest_timm(name)}")
    return name


def timm_options(spec: ModelSpec, name: str) -> dict[str, Any]:
    """Return the keyword arguments with which `timm.create_model` builds `spec`."""
    import timm  # noqa: PLC0415 - slow to import

    options: dict[str, Any] = {"num_classes": spec.num_classes, "in_chans": spec.channels}
    config = timm.get_pretrained_cfg(name)
    if config is not None and config.fixed_input_size:
        options["img_size"] = spec.image_size
    patch = _PATCH.search(name) if name.startswith(("vit_", "deit")) else None
    if patch is not None:
        options["patch_size"] = patch_size(spec.image_size, spec.stem, int(patch[1]))
    return options


def _construct(spec: ModelSpec) -> nn.Module:
    check_name(spec.arch)
    convnet = parse_convnet(spec.arch)
    if convnet is not None:
        depth, width, norm = convnet.depth, convnet.width, convnet.norm
        return ConvNet(spec.num_classes, spec.channels, spec.image_size, depth=depth, width=width, norm=norm)
    name = timm_name(spec.arch)
    if name is None:
        return _shufflenet(spec)
    import timm  # noqa: PLC0415 - slow to import

    try:
        return timm.create_model(name, **timm_options(spec, name))
    except (RuntimeError, ValueError, TypeError, AssertionError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        size = f"{spec.channels} x {spec.image_size} x {spec.image_size}"
        raise ConfigError(
            f"{spec.arch} cannot be built for {size} images; timm says {reason}; choose another network"
        ) from error


def _packaged(spec: ModelSpec) -> nn.Module:
    """Return a network of another package; whatever it does wrong is one line."""
    build, whose = NETWORKS.load(spec.arch).build, f"network {spec.arch!r} of {NETWORKS.owner(spec.arch)}"
    try:
        model: Any = build(spec)
    except Exception as error:
        size = f"{spec.channels} x {spec.image_size} x {spec.image_size}"
        raise ConfigError(
            f"{whose} cannot be built for {size} images; got {in_words(error)}; mend that package"
        ) from error
    if not isinstance(model, nn.Module):
        raise ConfigError(f"{whose} must be a torch.nn.Module; got {type(model).__name__}; mend that package")
    outputs = final_classifier(model).out_features
    if outputs != spec.num_classes:
        raise ConfigError(f"{whose} must have {spec.num_classes} outputs; got {outputs}; mend that package")
    return model


def _shufflenet(spec: ModelSpec) -> nn.Module:
    from torchvision.models import get_model  # noqa: PLC0415 - slow to import

    model = get_model(f"shufflenet_v2_{SHUFFLENETS[spec.arch]}", weights=None, num_classes=spec.num_classes)
    stem = model.get_submodule("conv1.0")
    if spec.channels != 3 and isinstance(stem, nn.Conv2d):
        replace(model, "conv1.0", conv_like(stem, channels=spec.channels))
    return model


def _nearest_timm(name: str) -> str:
    import timm  # noqa: PLC0415 - slow to import

    hint = did_you_mean(name, timm.list_models())
    return hint if hint.startswith("; did") else "; `timm.list_models()` names them"
