"""Networks by name, their teachers and checkpoints, and taps into them.

Loaded on first use: importing this package alone, or `wmdd.models.names`, does not import torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wmdd.models._registry import build_model, build_teacher, resolve_spec
    from wmdd.models.checkpoints import Pretrained, load_checkpoint, pretrained_model
    from wmdd.models.committee import Committee, batch_statistics, build_teachers
    from wmdd.models.convnet import ConvNet
    from wmdd.models.differentiable_moments import MomentTap, batchnorm_moments, class_moments
    from wmdd.models.fresh import fresh_network, network_spec
    from wmdd.models.names import list_models
    from wmdd.models.recalibration import recalibrate_batchnorm
    from wmdd.models.taps import (
        batchnorm_layers,
        batchnorm_widths,
        features_and_logits,
        final_classifier,
        require_batchnorm,
        tap_batchnorm,
        tap_features,
        tap_inputs,
    )

_HOMES = {
    "_registry": ("build_model", "build_teacher", "resolve_spec"),
    "checkpoints": ("Pretrained", "load_checkpoint", "pretrained_model"),
    "committee": ("Committee", "batch_statistics", "build_teachers"),
    "convnet": ("ConvNet",),
    "fresh": ("fresh_network", "network_spec"),
    "differentiable_moments": ("MomentTap", "batchnorm_moments", "class_moments"),
    "names": ("list_models",),
    "recalibration": ("recalibrate_batchnorm",),
    "taps": (
        "batchnorm_layers",
        "batchnorm_widths",
        "features_and_logits",
        "final_classifier",
        "require_batchnorm",
        "tap_batchnorm",
        "tap_features",
        "tap_inputs",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Committee",
    "ConvNet",
    "MomentTap",
    "Pretrained",
    "batch_statistics",
    "batchnorm_layers",
    "batchnorm_moments",
    "batchnorm_widths",
    "build_model",
    "build_teacher",
    "build_teachers",
    "class_moments",
    "features_and_logits",
    "final_classifier",
    "fresh_network",
    "list_models",
    "load_checkpoint",
    "network_spec",
    "pretrained_model",
    "recalibrate_batchnorm",
    "require_batchnorm",
    "resolve_spec",
    "tap_batchnorm",
    "tap_features",
    "tap_inputs",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
