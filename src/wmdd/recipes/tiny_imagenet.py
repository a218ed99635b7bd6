"""Tiny-ImageNet with the paper's settings."""

from wmdd.recipes.imagenette import imagenette
from wmdd.settings.recipe import Tree, merged


def tiny_imagenet() -> Tree:
    """Distil Tiny-ImageNet, enlarged to 224 pixels as the paper does.

    Source: WMDD's main table and scripts: as for Imagenette with an image learning rate of 0.1. The paper's lambda of
        300 belongs to the reference code's unsquared loss (`--recover.form reference --recover.bn_weight 300`); for our
        squared loss lambda is not yet measured on this set. The reference code also changes the stem (3x3, stride 2, no
        pooling); we keep ImageNet's. SRe2L, CDA and SC-DD have what their scripts have for Tiny-ImageNet at 64 pixels;
        of SC-DD lambda, of G-VBSM everything is what ImageNet-1K has.
    Command: `wmdd distill DATA --recipe tiny-imagenet --ipc 10`
    Cost: made for a GPU; the paper's relabelling alone took 11 minutes at IPC 10.
    Expected (paper): teacher 63.5; 7.6, 41.8, 59.4, 61.0 at IPC 1, 10, 50, 100.
    Last measured: not yet.
    """
    inversion = {
        "sre2l": {"lr": 0.1, "bn_weight": 1.0, "roll": 4},
        "cda": {"lr": 0.4, "bn_weight": 0.05, "roll": 4},
        "scdd": {"lr": 0.6, "roll": 4},
    }
    return merged(imagenette(), {"recover": {"lr": 0.1}, **inversion, "evaluate": {"protocols": ("wmdd",)}})
