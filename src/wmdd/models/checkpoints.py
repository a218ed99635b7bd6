"""Weights that come from outside: checkpoint files, and timm's pretrained networks."""

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import safetensors.torch
import timm
import torch
from huggingface_hub import constants, hf_hub_url, try_to_load_from_cache
from safetensors import SafetensorError
from torch import Tensor, nn

from wmdd.errors import ConfigError
from wmdd.models.building import build_model, timm_name, timm_options
from wmdd.models.taps import final_classifier
from wmdd.values import ModelSpec

_WRAPPERS = ("state_dict", "model_state_dict", "model")


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """A network with timm's weights and the normalisation they were trained under."""

    model: nn.Module
    mean: tuple[float, ...]
    """Per channel, of pixels in [0, 1]."""
    std: tuple[float, ...]
    complete: bool
    """False if the last layer is fresh, because the class counts differ."""


def load_checkpoint(path: str | Path, spec: ModelSpec, classes: Sequence[str] | None = None) -> dict[str, Tensor]:
    """Return the state dict in `path`, checked key by key and shape by shape against the network of `spec`.

    Reads `.safetensors`, and what `torch.save` wrote, without running code from it. A dictionary around the weights
    (`state_dict`, `model_state_dict`, `model`) and the prefix `module.` are taken off. If the file also names its
    `classes`, they must be `classes`, in that order.

    Raises:
        ConfigError: the file cannot be read, or belongs to another network, class count or class order.
    """
    path = Path(path)
    content = _read(path)
    _check_classes(path, content.get("classes"), classes)
    weights = _unwrap(path, content)
    with torch.device("meta"):
        model = build_model(spec)
    _check_weights(path, weights, model, spec)
    return weights


def pretrained_model(spec: ModelSpec) -> Pretrained:
    """Return the network of `spec` with timm's weights; the last layer is fresh where the class counts differ.

    Raises:
        ConfigError: timm has no such weights, they belong to another stem, or they cannot be downloaded.
    """
    name = timm_name(spec.arch)
    config = timm.get_pretrained_cfg(name) if name is not None else None
    if name is None or config is None or not config.has_weights:
        raise ConfigError(
            f"timm has no pretrained weights for {spec.arch}; use resnet18 or another of timm's, or train it"
        )
    if spec.stem != "imagenet":
        raise ConfigError(
            f"pretrained weights belong to the imagenet stem; got stem {spec.stem!r}; set squeeze.stem to imagenet"
        )
    options = timm_options(spec, name)
    cached = _cached_weights(config.hf_hub_id)
    if cached is not None:
        # Given as a file, so that no server is contacted to see whether the copy is the latest.
        options["pretrained_cfg_overlay"] = {"file": cached}
    elif config.hf_hub_id and not constants.HF_HUB_OFFLINE:
        _require_server(config.hf_hub_id, spec.arch)
    try:
        model = timm.create_model(name, pretrained=True, **options)
    except Exception as error:  # noqa: BLE001 - hub, network and file errors share no base class
        raise ConfigError(_no_weights(spec.arch, error)) from error
    final_classifier(model)
    return Pretrained(
        model=model,
        mean=_per_channel(config.mean, spec.channels),
        std=_per_channel(config.std, spec.channels),
        complete=config.num_classes == spec.num_classes,
    )


def _cached_weights(hub_id: str | None) -> str | None:
    """Return the file with these weights in the local cache of the Hugging Face hub, if it is there."""
    names = ("model.safetensors", "pytorch_model.bin") if hub_id else ()
    found = (try_to_load_from_cache(str(hub_id), name) for name in names)
    return next((path for path in found if isinstance(path, str)), None)


def _require_server(hub_id: str, arch: str) -> None:
    """Raise `ConfigError` at once if the server cannot be reached; the hub's client would try for most of a minute."""
    try:
        urlopen(Request(hf_hub_url(hub_id, "model.safetensors"), method="HEAD"), timeout=10).close()
    except HTTPError:
        return  # it answers; the client knows better what to ask for
    except OSError as error:
        raise ConfigError(_no_weights(arch, error)) from error


def _no_weights(arch: str, error: Exception) -> str:
    reason = " ".join(str(error).split())[:160] or type(error).__name__
    return (
        f"cannot load the pretrained weights of {arch}; got {reason}; connect once, or set squeeze.checkpoint to a file"
    )


def _read(path: Path) -> Mapping[str, Any]:
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ConfigError(f"checkpoint not found; got {path}; give the path of a state dict") from None
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError, SafetensorError) as error:
        kind = type(error).__name__
        raise ConfigError(
            f"checkpoint cannot be read; got {path} ({kind}); save a plain state dict with torch.save or safetensors"
        ) from error
    if not isinstance(content, Mapping):
        raise ConfigError(
            f"checkpoint is no state dict; got {path} holding a {type(content).__name__}; save model.state_dict()"
        )
    return content


def _unwrap(path: Path, content: Mapping[str, Any]) -> dict[str, Tensor]:
    inner = next((content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)), content)
    weights = {str(key).removeprefix("module."): value for key, value in inner.items()}
    foreign = [key for key, value in weights.items() if not isinstance(value, Tensor)]
    if foreign or not weights:
        got = f"the entry {foreign[0]!r}" if foreign else "no entries"
        raise ConfigError(f"checkpoint is no state dict; got {path} with {got}; save model.state_dict()")
    return weights


def _check_classes(path: Path, found: Any, classes: Sequence[str] | None) -> None:
    if classes is None or not isinstance(found, (list, tuple)) or list(found) == list(classes):
        return
    differ = ((theirs, ours) for theirs, ours in zip(found, classes, strict=False) if theirs != ours)
    theirs, ours = next(differ, (f"{len(found)} classes", f"{len(classes)}"))
    raise ConfigError(
        f"checkpoint has another class order than the data; got {theirs!r} where the data have {ours!r} ({path}); "
        "use a teacher of these classes"
    )


def _check_weights(path: Path, weights: Mapping[str, Tensor], model: nn.Module, spec: ModelSpec) -> None:
    wanted = model.state_dict()
    missing = [key for key in wanted if key not in weights]
    extra = [key for key in weights if key not in wanted]
    if missing or extra:
        first = f"first missing {missing[0]!r}" if missing else f"first extra {extra[0]!r}"
        raise ConfigError(
            f"checkpoint {path} is not a {spec.arch} with the {spec.stem} stem; "
            f"got {len(missing)} keys missing and {len(extra)} extra ({first}); set squeeze.arch and squeeze.stem"
        )
    last = final_classifier(model)
    head = next(name for name, module in model.named_modules() if module is last)
    wrong = [key for key in wanted if weights[key].shape != wanted[key].shape]
    if wrong and all(key in (f"{head}.weight", f"{head}.bias") for key in wrong):
        count = weights[f"{head}.weight"].shape[0]
        if count != spec.num_classes:
            raise ConfigError(
                f"checkpoint has {count} classes, the data have {spec.num_classes}; got {path}; "
                "use a teacher of the same classes"
            )
    if wrong:
        shapes = f"{wrong[0]!r} of shape {tuple(weights[wrong[0]].shape)} instead of {tuple(wanted[wrong[0]].shape)}"
        kind = f"{spec.arch} ({spec.channels} channels, {spec.image_size} pixels, {spec.stem} stem)"
        raise ConfigError(
            f"checkpoint {path} is not this {kind}; got {shapes}; "
            "set squeeze.arch, squeeze.stem, data.channels or data.image_size"
        )


def _per_channel(values: Sequence[float], channels: int) -> tuple[float, ...]:
    """Fit three values to other channel counts: grey gets their mean, as timm sums the weights; more repeat them."""
    if channels == 1:
        return (sum(values) / len(values),)
    return tuple(float(values[index % len(values)]) for index in range(channels))
