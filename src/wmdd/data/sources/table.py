"""All data sources. Free of torch, so that `wmdd list data` is fast.

A new source is a file beside this one that makes a `Source`, and its entry here.
"""

import os
from pathlib import Path

from wmdd.data.sources.folders import FOLDERS
from wmdd.data.sources.hub import HUB
from wmdd.data.sources.listing import Source
from wmdd.data.sources.named import NAMED
from wmdd.data.sources.parquet import PARQUET
from wmdd.errors import DataError, did_you_mean

SOURCES: tuple[Source, ...] = (NAMED, FOLDERS, PARQUET, HUB)
"""The first source that claims a `DATA` lists it."""


def find_source(data: str) -> Source:
    """Return the source that claims `data`.

    Raises:
        DataError: none does, because there is no such name, folder or file.
    """
    for source in SOURCES:
        if source.claims(data):
            return source
    if Path(data).expanduser().exists():
        raise DataError(f"a single file must be Parquet; got {data!r}; give a .parquet file or a folder of images")
    if os.sep in data or "/" in data or data.startswith((".", "~")):
        raise DataError(f"there is no such folder or file; got {data!r}; check the path")
    near = did_you_mean(data.lower(), NAMED.forms)
    raise DataError(f"unknown data; got {data!r}, neither a known name nor a folder{near}")


def list_forms() -> dict[str, str]:
    """Return every accepted form of `DATA`, with a line about each."""
    return {form: about for source in SOURCES for form, about in source.forms.items()}
