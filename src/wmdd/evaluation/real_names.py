"""Names of the sets of real images that stand beside distilled ones in scores."""

import re

FULL_DATA_SET = "full data"
"""The `set` in scores of students trained on all real images, as the teacher is trained."""
CEILING_SET = "all real images"
"""The `set` in scores of students that learn from all real images under the rules of a distilled set: the ceiling."""
_POOL = "random"


def pool_set(per_class: int | None, ipc: int) -> str:
    """Return the `set` in scores of students of a pool of `per_class` random real images, or of all for None.

    Their number is said in units of the `ipc` that a distilled set has: `"random ×3"`.
    """
    return CEILING_SET if per_class is None else f"{_POOL} ×{per_class / ipc:g}"


def pool_multiple(name: str) -> float | None:
    """Return r of a pool called `random ×r`; None for all real images, and for sets that are no pools."""
    head, _, number = name.partition(" ×")
    if head != _POOL or re.fullmatch(r"[0-9]{1,9}([.][0-9]{1,9})?", number) is None:
        return None
    return float(number) or None


def is_pool(name: str) -> bool:
    """Return whether scores of this `set` are of a pool of real images: a reference, no competitor."""
    return name == CEILING_SET or name.startswith(f"{_POOL} ×")
