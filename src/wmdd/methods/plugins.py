"""Methods of other installed packages, known from the packages' metadata alone.

A package joins by an entry point of the group `wmdd.methods`, named like its method; docs/extending.md shows one.
"""

from importlib.metadata import EntryPoint, entry_points

GROUP = "wmdd.methods"


def plugin_names() -> dict[str, str]:
    """Return the methods that installed packages register, with the packages' summaries; imports none of them."""
    return {point.name: _summary(point) for point in sorted(entry_points(group=GROUP), key=lambda point: point.name)}


def registrations(name: str) -> list[EntryPoint]:
    """Return the entry points that register a method called `name`."""
    return [point for point in entry_points(group=GROUP) if point.name == name]


def owner(point: EntryPoint) -> str:
    """Return the package that an entry point belongs to."""
    return str(point.dist.name) if point.dist else point.value


def _summary(point: EntryPoint) -> str:
    known = point.dist.metadata if point.dist else None
    summary = known["Summary"] if known is not None and "Summary" in known else "no summary"
    return f"{summary} (package {owner(point)})"
