"""Which settings code reads while it runs, noted by the section and the field."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from wmdd.settings import Section


@contextmanager
def settings_read() -> Iterator[set[str]]:
    """Yield the set of settings that are read meanwhile: `"dm.lr"`, and `"ipc"` of a recipe itself.

    What copies or writes a section as a whole (`with_`, `counted`, a recipe's YAML) reads none of them.
    """
    read: set[str] = set()

    def noting(section: Section, name: str) -> object:
        kind = type(section)
        if name in kind.model_fields:
            read.add(f"{kind.section}.{name}".removeprefix("."))
        return object.__getattribute__(section, name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Section, "__getattribute__", noting, raising=False)
        yield read
