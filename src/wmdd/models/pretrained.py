"""Networks with timm's pretrained weights, and the normalisation they were trained under."""

from dataclasses import dataclass
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import timm
from huggingface_hub import constants, hf_hub_url, try_to_load_from_cache
from torch import nn

from wmdd.errors import ConfigError
from wmdd.models.building import timm_name, timm_options
from wmdd.models.checkpoints import require_sound
from wmdd.models.foreign_facts import Moments, per_channel
from wmdd.models.taps import final_classifier
from wmdd.values import ModelSpec


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """A network with timm's weights."""

    model: nn.Module
    moments: Moments
    """Mean and deviation that they were trained under."""
    complete: bool
    """False if the last layer is fresh, because the class counts differ."""


def pretrained_model(spec: ModelSpec) -> Pretrained:
    """Return the network of `spec` with timm's weights; the last layer is fresh where the class counts differ.

    Raises:
        ConfigError: timm has no such weights, they belong to another stem, they hold NaN, or they cannot be downloaded.
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
    require_sound(f"the pretrained weights of {spec.arch}", model.state_dict(), "load them again, or use others")
    return Pretrained(
        model=model,
        moments=(per_channel(config.mean, spec.channels), per_channel(config.std, spec.channels)),
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
