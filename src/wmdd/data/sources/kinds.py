"""Which files count as images, by their ending: those that Pillow opens by itself.

Plugins that have been registered with Pillow (for HEIC, JPEG XL, ...) count too.
"""

import os
from functools import cache

_NEEDS_MORE = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"})
"""Formats that Pillow recognises but draws only with another program or library, or on one system, or never."""
_OPENED_AS_JPEG = "MPO"  # several JPEGs in one file; Pillow registers no way of its own to open it
_SIDECARS = frozenset(
    {
        *(".cfg", ".csv", ".db", ".html", ".ini", ".json", ".jsonl", ".log", ".lst", ".mat", ".md", ".md5", ".py"),
        *(".rst", ".sh", ".tsv", ".txt", ".url", ".xml", ".yaml", ".yml"),
    }
)
"""Endings of lists, notes and annotations, which lie beside images and are none."""
_NOTES = frozenset({"citation", "copying", "license", "makefile", "md5sums", "readme", "sha256sums"})


def is_image(name: str) -> bool:
    """Tell whether a file of this name counts as an image."""
    return _ending(name) in _endings()


def is_sidecar(name: str) -> bool:
    """Tell whether a file of this name is a list, a note or an annotation, so that nobody misses it."""
    return _ending(name) in _SIDECARS or name.lower() in _NOTES


def ending(name: str) -> str:
    """Return the ending of a name, for messages: `.heic`, or `no ending`."""
    return _ending(name) or "no ending"


def _ending(name: str) -> str:
    return os.path.splitext(name)[1].lower()


@cache
def _endings() -> frozenset[str]:
    from PIL import Image  # noqa: PLC0415 - most commands do without

    Image.preinit()  # the usual formats first, so that they are also tried first when images are opened
    known = Image.registered_extensions()
    formats = {*Image.OPEN, _OPENED_AS_JPEG} - _NEEDS_MORE
    return frozenset(suffix for suffix, kind in known.items() if kind in formats)
