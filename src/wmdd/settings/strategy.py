"""Strategies of differentiable Siamese augmentation (DSA), as strings; the operations are in `wmdd.data.dsa`."""

from typing import Annotated

from pydantic import AfterValidator

DSA_GROUPS = ("color", "crop", "cutout", "flip", "scale", "rotate")
"""Groups of operations; each draw takes one of the groups in the strategy."""
NO_DSA = "none"
FULL_DSA = "color_crop_cutout_flip_scale_rotate"
"""The usual strategy (Zhao and Bilen 2021)."""


def strategy_groups(strategy: str) -> tuple[str, ...]:
    """Return the groups that a strategy such as `crop_flip` names; none for `none`.

    Raises:
        ValueError: a group is unknown or named twice.
    """
    if strategy == NO_DSA:
        return ()
    groups = tuple(strategy.split("_"))
    if not set(groups) <= set(DSA_GROUPS) or len(set(groups)) < len(groups):
        raise ValueError(f"must be {NO_DSA} or some of {', '.join(DSA_GROUPS)}, joined by underscores, each once")
    return groups


def _known(strategy: str) -> str:
    strategy_groups(strategy)
    return strategy


Strategy = Annotated[str, AfterValidator(_known)]
"""Type of a setting that holds a strategy."""
