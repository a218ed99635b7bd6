"""scikit-learn's digits: the smallest real data set, for `make demo`."""

from wmdd.pipeline.recipe import Recipe


def digits() -> Recipe:
    """Distil 1,797 grey 8x8 digits to one image a class.

    Source: none in the paper; the smallest real set, embedded in scikit-learn. Views are whole images without mixing:
        crops and patches of 8x8 pixels leave little, and a teacher's answers to 300 epochs of them teach so much that
        any ten images end at 95 % (docs/lab-book.md). Settings were chosen on another split (`data.holdout_seed` 1).
    Command: `wmdd distill digits --recipe digits`
    Cost: 20 seconds on two CPU cores.
    Expected: WMDD above random under the same labels by more than the sum of their standard deviations.
    Last measured: 2026-11-22, 3 seeds: WMDD 87.7 ± 0.6, random 64.8 ± 1.1, teacher 99.7.
    """
    whole = {"crop_min": 1.0, "flip": False}
    return Recipe().with_settings(
        {
            "ipc": 1,
            "precision": "fp32",
            "save_every": 5.0,
            "squeeze": {
                "arch": "convnet2_bn",
                "epochs": 12,
                "batch": 64,
                "lr": 0.1,
                "weight_decay": 5e-4,
                "crop_min": 0.6,
                "flip": False,
            },
            "recover": {"iterations": 500, "lr": 0.1, "bn_weight": 1.0, **whole},
            "relabel": {"cutmix": 0.0, **whole},
            "evaluate": {"students": ("convnet2_bn",), "protocols": ("wmdd",), "seeds": 3},
        }
    )
