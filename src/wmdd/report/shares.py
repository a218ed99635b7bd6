"""The share of the gap between floor and ceiling that a set fills, in words."""

from wmdd.evaluation.comparison import Worth
from wmdd.report.templates import ABSENT

READING = (
    "Gap: the share of the gap between random and all real images that a set fills, (set − floor) / (ceiling − floor), "
    "with a 95 % interval (Fieller); – where the two cannot be told apart, or one was not evaluated."
)
"""How to read `share_text`."""


def share_text(worth: Worth | None) -> str:
    """Return a set's share of the gap, such as `0.24 (0.10 to 0.38)`; a dash where it is not known."""
    return ABSENT if worth is None else worth.share_text


def share_sentence(title: str, worth: Worth | None) -> str:
    """Say which share of the gap a set fills, with a space before; empty where it is not known."""
    text = share_text(worth)
    return "" if text == ABSENT else f" {title} fills {text} of the gap between random and all real images."
