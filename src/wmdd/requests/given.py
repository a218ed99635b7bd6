"""What was given to a command by name: as flags on a command line, or as arguments of its function."""

import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from wmdd.errors import ArtifactError, ConfigError, did_you_mean
from wmdd.methods.catalogue import require_read
from wmdd.methods.method import Method
from wmdd.settings import Section
from wmdd.settings.recipe import dotted, recipe_type, setting_names

Given = Mapping[str, Any]
"""Flags and settings by name, unchecked; settings may be nested by section or dotted."""
STORE = Path("runs/.store")
"""Where stage results go that are not told where."""


class Flags(Section):
    """Base of a command's own flags, which are its function's own arguments; None = not given, and what then counts."""

    command: ClassVar[str]
    usage: ClassVar[str]
    """What to type; for error messages."""
    shorthands: ClassVar[Mapping[str, str]] = {}
    """Flags that set a setting: flag → setting."""
    spellings: ClassVar[Mapping[str, str]] = {}
    """Other spellings of flags: spelling → flag."""


Own = TypeVar("Own", bound=Flags)


def sort_given(kind: type[Own], given: Given) -> tuple[Own, dict[str, Any]]:
    """Return a command's own flags, checked, and the settings by dotted name, unchecked.

    Raises:
        ConfigError: something was given twice, or is empty, or a flag's value does not fit.
    """
    flat = _spelled(kind, dotted(given))
    for name, value in flat.items():
        texts = value if isinstance(value, tuple | list) else (value,)
        if any(isinstance(text, str) and not text.strip() for text in texts):  # a shell's variable that is not set
            raise ConfigError(f"{name}: needs a value; got an empty one; give one, or leave it out")
    own = {name: flat.pop(name) for name in kind.model_fields if name in flat}
    flags = kind(**{name: os.fspath(value) if isinstance(value, os.PathLike) else value for name, value in own.items()})
    for name, setting in kind.shorthands.items():
        value = getattr(flags, name)
        if value is not None and setting in flat:
            raise ConfigError(f"{setting}: given twice, since {name} sets it too; got {flat[setting]!r}; leave one out")
        if value is not None:
            flat[setting] = value
    return flags, flat


def _spelled(kind: type[Flags], flat: dict[str, Any]) -> dict[str, Any]:
    """Return what was given, under the names that flags have."""
    twice = [name for spelling, name in kind.spellings.items() if spelling in flat and name in flat]
    if twice:
        raise ConfigError(f"{twice[0]}: given twice, in two spellings; got {flat[twice[0]]!r}; leave one out")
    return {kind.spellings.get(name, name): value for name, value in flat.items()}


def require_target(kind: type[Flags], target: str | Path) -> str:
    """Return what a command works on, as text.

    Raises:
        ConfigError: it is empty.
    """
    if not str(target).strip():
        raise ConfigError(f"{kind.command} needs its target first; got nothing; type {kind.usage}")
    return str(target)


def method_settings(methods: Iterable[Method], kind: type[Flags]) -> dict[str, Any]:
    """Return the settings that one of the methods reads, with their types; the method itself is not among them."""
    names = (setting_names(recipe_type(method.settings)) for method in methods)
    return {name: each for known in names for name, each in known.items() if name not in {"method", *kind.spellings}}


def require_settings(names: Collection[str], methods: Iterable[Method], kind: type[Flags]) -> None:
    """Refuse settings that none of the methods reads.

    Raises:
        ConfigError: one is unknown, or belongs to other methods; the message names the nearest flag or setting.
    """
    if "method" in names:  # of a bench, which has rows
        raise ConfigError(f"method: unknown setting{did_you_mean('method', kind.model_fields)}")
    require_read(names, methods, flags=kind.model_fields, command=kind.command)


def require_folder(run: Path) -> None:
    """Refuse the folder of a run that does not exist.

    Raises:
        ArtifactError: there is no such folder.
    """
    if not os.path.isdir(run):  # unlike Path.is_dir, also for names too long to exist
        raise ArtifactError(f"no such folder; got {run}; give the --out of `wmdd distill` or `wmdd bench`")


def require_data(data: str) -> None:
    """Refuse data that do not exist; checked last, since it imports pyarrow.

    Raises:
        DataError: there is no such name, folder or file.
    """
    from wmdd.data.sources.table import find_source  # noqa: PLC0415 - see above

    find_source(data)


def plain_name(data: str) -> str:
    """Return the name of data as the folder of a run has it."""
    name = data.removeprefix("hf:").rstrip("/").rpartition("/")[2]
    return name if name.strip(".") else Path(data).resolve().name or "data"
