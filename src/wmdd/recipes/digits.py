"""scikit-learn's digits: the smallest real data set, for `make demo`."""

from wmdd.pipeline.recipe import Recipe


def digits() -> Recipe:
    """Distil 1,797 grey 8x8 digits to one image a class.

    Source: none in the paper; the smallest real set, embedded in scikit-learn.
    Command: `wmdd distill digits --recipe digits`
    Cost: see docs/lab-book.md.
    Expected: WMDD above random under the same labels by more than the sum of their standard deviations.
    Last measured: see docs/lab-book.md.
    """
    return Recipe().with_settings(
        {
            "ipc": 1,
            "precision": "fp32",
            "save_every": 5.0,
            "squeeze": {
                "arch": "convnet2_w32_bn",
                "epochs": 30,
                "batch": 64,
                "lr": 0.1,
                "weight_decay": 5e-4,
                "crop_min": 0.6,
                "flip": False,
            },
            "recover": {"iterations": 500, "lr": 0.1, "bn_weight": 1.0, "crop_min": 0.6, "flip": False},
            "relabel": {"crop_min": 0.6, "flip": False},
            "evaluate": {"students": ("convnet2_w32_bn",), "protocols": ("wmdd",), "seeds": 3},
        }
    )
