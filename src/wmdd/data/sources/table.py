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
from wmdd.plugins import Plugins

SOURCES: tuple[Source, ...] = (NAMED, FOLDERS, PARQUET, HUB)
"""The first source that claims a `DATA` lists it."""
PACKAGED = Plugins(
    word="data",
    group="wmdd.data",
    kind=Source,
    public="wmdd.data.sources.listing.Source",
    taken=lambda name: name in NAMED.forms or name == "hf",
)
"""The sources of other packages: `NAME`, or `NAME:` and whatever that source makes of it."""


def find_source(data: str) -> Source:
    """Return the source that claims `data`.

    Those of packages are asked last, each about data of its name alone, and imported then.

    Raises:
        DataError: none does, because there is no such name, folder or file.
        ConfigError: a package cannot be loaded.
    """
    for source in SOURCES:
        if source.claims(data):
            return source
    name = data.partition(":")[0]
    if name in PACKAGED:
        return _packaged(name, data)
    if Path(data).expanduser().exists():
        raise DataError(f"a single file must be Parquet; got {data!r}; give a .parquet file or a folder of images")
    if os.sep in data or "/" in data or data.startswith((".", "~")):
        raise DataError(f"there is no such folder or file; got {data!r}; check the path")
    near = did_you_mean(data.lower(), [*NAMED.forms, *PACKAGED.names()])
    raise DataError(f"unknown data; got {data!r}, neither a known name nor a folder{near}")


def list_forms() -> dict[str, str]:
    """Return every accepted form of `DATA`, with a line about each; those of packages last, which are not imported."""
    return PACKAGED.beside({form: about for source in SOURCES for form, about in source.forms.items()})


def _packaged(name: str, data: str) -> Source:
    """Return the source that a package registers as `name`, if it claims `data`."""
    source = PACKAGED.load(name)
    if not source.claims(data):
        forms = ", ".join(source.forms)
        raise DataError(f"{name!r} of {PACKAGED.owner(name)} has no such data; got {data!r}; give one of {forms}")
    return source
