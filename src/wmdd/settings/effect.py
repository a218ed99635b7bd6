"""Which settings of a recipe had a part in a run: those that other settings switch off are left out."""

from collections.abc import Callable, Mapping
from typing import Any

from wmdd.settings.chain import TrainSettings
from wmdd.settings.recipe import Recipe, dotted, nested

_Flat = Mapping[str, Any]
_TEACHER = tuple(f"squeeze.{name}" for name in (*TrainSettings.model_fields, "pretrained", "crop_min", "flip", "seed"))
_RECOVERIES = ("recover", "sre2l", "cda", "scdd", "gvbsm")
"""Sections of methods that optimise images under a teacher."""


def _crops_shrink(section: str) -> Callable[[_Flat], bool]:
    return lambda s: s[f"{section}.curriculum"] != "none" and not s.get(f"{section}.shift")


def _blends(section: str) -> Callable[[_Flat], bool]:
    return lambda s: s.get(f"{section}.residuals", 0) > 0


def _retrieves(section: str) -> Callable[[_Flat], bool]:
    return lambda s: _blends(section)(s) and s[f"{section}.residual_from"] == "retrieved"


def _matches(section: str) -> Callable[[_Flat], bool]:
    return lambda s: s[f"{section}.bn"] != "none"


_WHERE: Mapping[str, Callable[[_Flat], bool]] = {
    **dict.fromkeys(
        # speed alone
        ("device", "threads", "compile", "save_every", "data.memory_gb", "data.workers", "statistics.batch"),
        lambda _: False,
    ),
    "ipc_at_most": lambda s: s["ipc_at_most"],
    "data.image_column": lambda s: s["data.image_column"] is not None,
    "data.label_column": lambda s: s["data.label_column"] is not None,
    "data.development": lambda s: s["data.development"] is not None,
    "squeeze.classes": lambda s: s["squeeze.checkpoint"] is not None,
    "squeeze.accept_weak": lambda s: s["squeeze.checkpoint"] is not None or s["squeeze.pretrained"],
    "squeeze.momentum": lambda s: s["squeeze.optimiser"] == "sgd",
    "squeeze.zeta": lambda s: s["squeeze.schedule"] == "cosine",
    "barycenter.weights": lambda s: s["barycenter.objective"] == "wasserstein",
    "barycenter.step": lambda s: (s["barycenter.objective"], s["barycenter.weights"]) == ("wasserstein", "learned"),
    "barycenter.iterations": lambda s: s["barycenter.objective"] in ("wasserstein", "sliced", "entropic", "mmd_rbf"),
    **{f"{name}.curriculum_milestone": _crops_shrink(name) for name in _RECOVERIES},
    **{f"{name}.curriculum_end": _crops_shrink(name) for name in _RECOVERIES},
    **{f"{name}.bn_weight": _matches(name) for name in _RECOVERIES},
    **{f"{name}.bn_first": _matches(name) for name in _RECOVERIES},
    **{f"{name}.residual_share": _blends(name) for name in _RECOVERIES},
    **{f"{name}.residual_from": _blends(name) for name in _RECOVERIES},
    **{f"{name}.residual_complexity": _retrieves(name) for name in _RECOVERIES},
    **dict.fromkeys(("gvbsm.crop_min", "gvbsm.curriculum"), lambda s: s["gvbsm.shift"] == 0),
    "recover.shrinkage": lambda s: s["recover.statistics"] == "blend",
    "plus.choose_by": lambda s: s["plus.candidates"] > 1,
    **dict.fromkeys(("recover.set_loss", "recover.set_of"), lambda s: s["recover.set_share"] > 0),
    "relabel.top_k": lambda s: s["relabel.store"] == "topk",
    "relabel.passes": lambda s: s["relabel.store"] != "online" and s["relabel.passes"] is not None,
}
"""Settings that count only where others say so."""


def settings_in_effect(
    recipe: Recipe, *, trains: bool = True, relabels: bool = True, holdout: float | None = None
) -> dict[str, Any]:
    """Return the settings of a recipe that had a part in a run, nested by section and ready for YAML.

    They are a recipe too: what is left out has no effect at its default either.

    Args:
        recipe: every setting of the run.
        trains: whether any teacher was trained.
        relabels: whether views were labelled and stored.
        holdout: the share of the images that was held out; None = the data have a split of their own.
    """
    flat = dotted(recipe.model_dump(mode="json"))
    unused = {name for name, holds in _WHERE.items() if name in flat and not holds(flat)}
    if not trains:
        unused |= set(_TEACHER)
    if not relabels:
        unused |= {name for name in flat if name.startswith("relabel.") and name != "relabel.teachers"}
    if holdout is None:
        unused |= {"data.holdout"} if recipe.data.development else {"data.holdout", "data.holdout_seed"}
    elif holdout != recipe.data.holdout:  # the data bring a share of their own
        unused.add("data.holdout")
    return nested({name: value for name, value in flat.items() if name not in unused})
