"""Settings under which each method takes a second at most; the contract test runs them all. A line for each method."""

from typing import Any

WITHOUT_SETTINGS: dict[str, Any] = {}

TINY: dict[str, dict[str, Any]] = {
    "wmdd": {
        "recover": {"iterations": 4, "batch": 4, "residuals": 1, "residual_from": "retrieved"},
        "barycenter.iterations": 2,
    },
    "wmdd+": {
        "recover": {
            "iterations": 4,
            "batch": 4,
            "statistics": "blend",
            "set_share": 0.5,
            "border": "uniform",
            "tv": 1.0,
            "ema": 0.5,
        },
        "barycenter.iterations": 2,
        "plus": {"keep": 0.7, "candidates": 2, "choose_by": "mmd"},
    },
    "random": WITHOUT_SETTINGS,
    "herding": WITHOUT_SETTINGS,
    "k-center": WITHOUT_SETTINGS,
    "k-means": {"kmeans.starts": 2},
    "k-medoids": {"barycenter.iterations": 2},
    "forgetting": {"forgetting.keep": "hard"},
    "cad-prune": {"cad": {"epochs": 4, "window": 2, "windows": 2}},
    "bps": {"bps": {"patterns": 2, "starts": 2}},
    "rded": {"rded": {"sample": 6, "crops": 2, "factor": 2, "crop_min": 0.5}},
    "dd": {"dd": {"arch": "convnet1_w4_nn", "iterations": 3, "networks": 2, "batch": 12, "epochs": 2}},
    "mtt": {
        "experts": {"arch": "convnet1_w4_in", "count": 2, "epochs": 3, "batch": 8, "strategy": "crop_flip"},
        "mtt": {"iterations": 4, "steps": 3, "span": 1, "start_max": 2, "batch": 2, "lr": 1.0, "strategy": "crop"},
    },
    "kip": {"kip": {"iterations": 4, "batch": 12, "learn_labels": True}},
    "ls": {"ls": {"kernel": "convnet1", "zca": "standardised"}},
    "dc": {"dc": {"arch": "convnet1_w4", "iterations": 2, "batch_real": 6, "inner": 2}},
    "dsa": {"dsa": {"arch": "convnet1_w4", "iterations": 2, "outer": 2, "batch_real": 6, "inner": 2}},
    "dm": {"dm": {"arch": "convnet1_w4", "iterations": 4, "batch_real": 6}},
    "datadam": {"datadam": {"arch": "convnet2_w4_bn", "iterations": 4, "batch_real": 6, "power": 2.0}},
    "inversion": {"recover": {"iterations": 4, "batch": 4}},
    "sre2l": {"sre2l": {"iterations": 4, "batch": 4, "roll": 2, "residuals": 3}},
    "cda": {"cda": {"iterations": 4, "batch": 4, "roll": 2, "curriculum_end": 0.5}},
    "mmd": {"recover": {"iterations": 4, "batch": 4}},
    "scdd": {
        "scdd": {"iterations": 4, "batch": 4, "roll": 2},
        "selfsupervised": {"epochs": 2, "batch": 12, "probe_epochs": 2},
    },
    "gvbsm": {"gvbsm": {"iterations": 4, "batch": 4, "roll": 2, "shift": 0.125, "teachers": ("convnet1_w4_bn",)}},
}
"""Method → changes to the default recipe, as `Recipe.with_settings` takes them."""
