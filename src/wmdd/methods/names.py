"""Names and one-line descriptions of the methods, without loading any of them."""

from wmdd.errors import ConfigError, did_you_mean
from wmdd.methods.plugins import plugin_names

METHODS = {
    "wmdd": "images whose features hit a Wasserstein barycenter, under per-class BatchNorm statistics (ICCV 2025)",
    "random": "real images, drawn uniformly; always evaluated beside every other method",
    "herding": "real images whose mean feature follows that of their class",
    "k-center": "real images that leave no other image of their class far away",
    "k-means": "real images nearest to the k-means centres of their class",
    "rded": "tiles of the real crops that the teacher finds easiest (CVPR 2024)",
    "dc": "images whose gradients are those of real images, for networks in training (ICLR 2021)",
    "dsa": "dc under one random transform of real and distilled images alike (ICML 2021)",
    "dm": "images whose mean features are those of real images, for random networks (WACV 2023)",
    "dd": "images and step sizes that train a fresh network in a few steps (2018)",
    "mtt": "images that lead a student along the trajectories of experts (CVPR 2022)",
    "kip": "images on which kernel regression predicts the real ones (ICLR 2021)",
    "ls": "real images with the best labels for kernel regression (label solve, ICLR 2021)",
    "sre2l": "images that the teacher classifies, under BatchNorm statistics of the whole set (NeurIPS 2023)",
    "cda": "sre2l whose crops begin with the whole image and become smaller (TMLR 2024)",
    "mmd": "wmdd's ablation: images that match all real features under a kernel",
    "scdd": "sre2l under a teacher whose backbone has learnt without labels (2024)",
    "gvbsm": "images on which several teachers agree, under statistics of all their layers (CVPR 2024)",
}
BASELINE = "random"
"""The method that is always evaluated beside the others."""


def known_methods() -> dict[str, str]:
    """Return our methods and then those of other installed packages; of equal names ours is meant."""
    return {**METHODS, **{name: what for name, what in plugin_names().items() if name not in METHODS}}


def check_method(name: str) -> None:
    """Raise `ConfigError` for a method that neither we nor an installed package have."""
    if name not in METHODS and name not in known_methods():
        raise ConfigError(f"method: unknown; got {name!r}{did_you_mean(name, known_methods())}")
