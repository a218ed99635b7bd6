"""All data sources. Free of torch, so that `wmdd list data` is fast.

A new source is a file beside this one that makes a `Source`, and its entry here.
"""

from wmdd.data.sources.folders import FOLDERS
from wmdd.data.sources.hub import HUB
from wmdd.data.sources.listing import Source
from wmdd.data.sources.named import NAMED
from wmdd.data.sources.parquet import PARQUET

SOURCES: tuple[Source, ...] = (NAMED, FOLDERS, PARQUET, HUB)
"""The first source that claims a `DATA` lists it."""


def list_forms() -> dict[str, str]:
    """Return every accepted form of `DATA`, with a line about each."""
    return {form: about for source in SOURCES for form, about in source.forms.items()}
