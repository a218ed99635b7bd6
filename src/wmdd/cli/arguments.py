"""From words to flags and settings. Free of torch, so that a wrong word is answered at once.

tyro sorts the words of a command line and shows its help. What the values mean is left to pydantic, which checks recipe
files too: a wrong value gets the same answer in both, and never in tyro's or Python's own words.
"""

import difflib
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Annotated, Any, TypedDict, TypeVar, get_args, get_origin

import tyro

from wmdd.errors import ArtifactError, ConfigError
from wmdd.methods.catalogue import known_settings, require_read
from wmdd.methods.method import Method
from wmdd.settings import Section
from wmdd.settings.recipe import recipe_type, setting_names

Flags = TypeVar("Flags", bound=Section)
Action = Callable[[], int]
"""What a command does once its words are known to be right; returns the exit code."""
_HELP = {"-h", "--help"}
_TRUTH = {"true", "false", "yes", "no", "on", "off", "1", "0"}
"""Words that people give to a switch."""


def asks_help(words: Collection[str]) -> bool:
    """Return whether the words ask for help."""
    return not _HELP.isdisjoint(words)


def without_help(words: Sequence[str]) -> tuple[str, list[str]]:
    """Return the target (empty if there is none) and the flags of a command line that asks for help."""
    rest = [word for word in words if word not in _HELP]
    return (rest[0], rest[1:]) if rest and not rest[0].startswith("-") else ("", rest)


def target_of(command: str, usage: str, words: Sequence[str]) -> str:
    """Return the target, which is the first word.

    tyro's positional arguments cannot find it: in `--dm.lr 3 digits` the flag is not yet known when the command's own
    flags are parsed, and the target would be 3.

    Raises:
        ConfigError: there is none.
    """
    if not words or not words[0].strip() or words[0].startswith("-"):
        got = words[0].strip() if words else ""
        raise ConfigError(f"{command} needs its target first; got {got or 'nothing'}; type {usage}")
    return words[0]


def require_folder(run: str) -> None:
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


def read_flags(kind: type[Flags], words: Sequence[str]) -> Flags:
    """Return the flags of a command that has no settings.

    Raises:
        ConfigError: a word is no such flag, or a value does not fit.
    """
    given, rest = take_flags(kind, words)
    refuse(rest, kind.model_fields)
    return kind(**given)


def take_flags(kind: type[Section], words: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Return the values of a command's own flags among words, unchecked, and all other words.

    Raises:
        ConfigError: a flag lacks its value, or has several.
    """
    return _take({name: field.annotation for name, field in kind.model_fields.items()}, words)


def read_settings(words: Sequence[str], methods: Sequence[Method], own: type[Section]) -> dict[str, Any]:
    """Return the settings of a run that words give, by dotted name; their values are checked by its recipe.

    Args:
        words: what `take_flags` has left.
        methods: the run's method, or those of a bench's rows.
        own: the command's own flags; `--method` is never a setting of one run.

    Raises:
        ConfigError: a word is no setting that one of the methods reads.
    """
    kinds = (setting_names(recipe_type(method.settings)) for method in methods)
    types = {name: kind for names in kinds for name, kind in names.items() if name != "method"}
    given, rest = _take(types, words)
    refuse(rest, [*own.model_fields, *types, *(name for name in known_settings() if name != "method")], methods)
    return given


def refuse(words: Sequence[str], known: Collection[str], methods: Sequence[Method] = ()) -> None:
    """Refuse words that nobody has taken; `known` are the names of flags that exist.

    Raises:
        ConfigError: there are such words.
    """
    if not words:
        return
    flag = words[0].partition("=")[0]
    if not flag.startswith("-"):
        advice = (
            "a switch takes no value: --squeeze.flip or --squeeze.no-flip" if flag.lower() in _TRUTH else "see --help"
        )
        flag_meant = flag.replace("-", "_") in known
        raise ConfigError(f"unexpected word; got {words[0]}; {f'did you mean --{flag}?' if flag_meant else advice}")
    name = flag.lstrip("-").replace("-", "_").replace(".no_", ".")
    if methods and name in known_settings():
        require_read([name], methods)
    near = difflib.get_close_matches(name, [*known], n=1, cutoff=0.6)
    raise ConfigError(f"unknown flag; got {flag}; {f'did you mean --{near[0]}?' if near else 'see --help'}")


def _take(types: Mapping[str, Any], words: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Return the values of those flags among words that `types` names, and all other words.

    tyro would complain about a missing or a wrong value in a box of its own and exit. So for tyro every flag but a
    switch takes any number of words.
    """
    kinds = {
        name: Annotated[bool if kind is bool else tuple[str, ...], tyro.conf.arg(name=name)]
        for name, kind in types.items()
    }
    given_type: Any = TypedDict("given_type", kinds, total=False)  # pyright: ignore[reportArgumentType] - made here
    given, rest = tyro.cli(given_type, args=list(words), return_unknown_args=True)
    return {name: _value(name, types[name], value) for name, value in given.items()}, rest


def _value(name: str, kind: Any, value: bool | tuple[str, ...]) -> Any:
    """Return the value of a flag as pydantic takes it."""
    flag = f"--{name.replace('_', '-')}"
    if not isinstance(value, bool) and not all(map(str.strip, value)):  # of a shell's variable that is not set
        raise ConfigError(f"{flag} needs a value; got an empty one; type {flag} VALUE")
    if isinstance(value, bool) or {get_origin(each) for each in (kind, *get_args(kind))} & {tuple, list}:
        return value
    if len(value) != 1:
        got = " ".join(value) or "none"
        raise ConfigError(f"{flag} needs {'one' if value else 'a'} value; got {got}; type {flag} VALUE")
    return None if value == ("None",) and type(None) in get_args(kind) else value[0]


def show_settings(prog: str, default: Section, description: str) -> None:
    """Print the help of a command with all its settings."""
    try:
        tyro.cli(type(default), default=default, args=["--help"], prog=prog, description=description)
    except SystemExit:
        return
