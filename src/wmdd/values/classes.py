"""The order of the classes, which gives every label its meaning."""

from wmdd.errors import DataError


def require_same_classes(owner: str, classes: tuple[str, ...], of_images: tuple[str, ...]) -> None:
    """Refuse images whose class order is not that of `owner`, a teacher or a set.

    Raises:
        DataError: it is another one.
    """
    if classes != of_images:
        raise DataError(
            f"{owner} and images disagree about the classes; got {_few(classes)} and {_few(of_images)}; "
            f"use the data that belong to the {owner}, in the same class order"
        )


def _few(names: tuple[str, ...]) -> str:
    return f"{len(names)} classes ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
