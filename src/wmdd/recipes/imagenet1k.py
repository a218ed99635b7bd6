"""ImageNet-1K with the paper's settings."""

from wmdd.recipes.imagenette import imagenette
from wmdd.settings.recipe import Tree, merged


def imagenet1k() -> Tree:
    """Distil ImageNet-1K at 224 pixels as the paper does.

    Source: WMDD's main table and scripts: as for Imagenette. The paper's lambda of 500 belongs to the reference code's
        unsquared loss (`--recover.form reference --recover.bn_weight 500`); for our squared loss lambda is not yet
        measured on this set. Labels are recomputed while training, because stored they take 6 GB at IPC 10 and 60 GB at
        IPC 100. With `--squeeze.pretrained` the teacher has timm's weights, which are better than the paper's own (63.1
        %), so the figures below are not a target to the point; without it the teacher is trained as the paper's.
    Command: `wmdd distill DATA --recipe imagenet1k --ipc 10 --squeeze.pretrained`, or without the last flag to train
    the teacher
    Cost: made for a GPU; the paper's relabelling alone took 2.7 hours at IPC 100.
    Expected (paper): teacher 63.1; 3.2, 38.2, 57.6, 60.7 at IPC 1, 10, 50, 100.
    Last measured: not yet.
    """
    return merged(
        imagenette(), {"data.workers": 8, "relabel": {"store": "online"}, "evaluate": {"protocols": ("wmdd",)}}
    )
