"""What figures were counted on, in words: test images, or development images in place of them."""

from collections.abc import Mapping
from typing import Any, Literal

Kind = Literal["test", "development"]
"""What the images are that students and teachers were tested on."""


def kind_tested(data: Mapping[str, Any] | None) -> Kind:
    """Return the kind that the field `data` of `metrics.json` or `bench.json` names."""
    return "development" if (data or {}).get("development") else "test"


def images_tested(count: int, kind: Kind) -> str:
    """Return `3,925 test images`, or `940 development images, cut from the training images`."""
    images = f"{count:,} {kind} image{'' if count == 1 else 's'}"
    return images if kind == "test" else f"{images}, cut from the training images"
