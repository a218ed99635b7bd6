"""The fast testbed: CIFAR-10 at 32 pixels and a small BatchNorm network, for big tables and the search."""

from wmdd.recipes.cifar10 import SMALL_INVERSION
from wmdd.settings.recipe import Tree, merged

_OTHERS: Tree = {
    "dm": {"arch": "convnet3_w32", "iterations": 2000, "batch_real": 128},
    "experts": {"arch": "convnet3_w32", "count": 4, "epochs": 12, "batch": 128},
    "mtt": {"iterations": 300, "steps": 15, "span": 1, "start_max": 6, "rate": 0.01},
    "datadam": {"arch": "convnet3_w32_bn", "iterations": 2000},
    "cad": {"epochs": 6, "window": 3, "windows": 3},
    "gvbsm": {"teachers": ("convnet3_w32_bn", "convnet4_w32_bn"), "weight": 1.0},
    "selfsupervised": {"epochs": 10, "batch": 128},
}
"""Settings of other methods, reduced: DM has 20,000 iterations and 256 real images in its paper, DataDAM as many
iterations, MTT 100 experts of 50 epochs and 5,000 iterations of 30 steps, SC-DD 200 epochs."""


def testbed() -> Tree:
    """Distil CIFAR-10 where a student costs less than a minute of one thread and the images still decide.

    Source: ours. A testbed is of use if a student takes at most 60 s on one thread, the teacher has at least 75 %, and
        all real images are ahead of as many random ones by at least 8 points, and by at least 8 times the deviation
        between random draws. Teacher and student are three convolutional blocks with BatchNorm, of 64 and 32 channels.
        Students of `rded` learn from the teacher, those of `hard` from the classes, in 4,000 steps of 20 images at
        IPC 10: with fewer steps all real images are hardly ahead of random ones under soft labels (docs/lab-book.md).
        No stored view is replayed, so one epoch of them is kept for the product alone. Settings of recovery are those
        of recipe `cifar10`, carried over from Imagenette, with 400 steps; those of `wmdd+` are chosen by
        `benchmarks/search`, on development images.
    Command: `wmdd distill FOLDER --recipe testbed`, with CIFAR-10 in Parquet files
    Cost: on one thread beside other work 64 minutes for the teacher, 104 seconds for ten images of each class.
    Expected: no published number under these settings.
    Last measured: 2026-11-30: teacher 78.7 %.
    """
    own: Tree = {
        "ipc": 10,
        "data": {"image_size": 32},
        "squeeze": {
            "arch": "convnet3_w64_bn",
            "epochs": 30,
            "batch": 128,
            "lr": 0.1,
            "weight_decay": 5e-4,
            "warmup": 1.0,
            "crop_min": 0.4,
        },
        "recover": {"iterations": 400, "lr": 0.25, "bn_weight": 1.0, "crop_min": 0.4},
        "relabel": {"passes": 1},
        "evaluate": {
            "students": ("convnet3_w32_bn",),
            "protocols": ("rded", "hard"),
            "epochs": 800,
            "batch": 20,
            "seeds": 3,
            "labels": "soft",
            "tests": 1,
        },
    }
    return merged(own, SMALL_INVERSION, _OTHERS)
