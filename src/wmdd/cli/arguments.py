"""From words to flags and settings. Free of torch, so that a wrong word is answered at once.

tyro sorts the words of a command line and shows its help. What names and values mean is left to `wmdd.requests`, as for
the functions: a wrong one gets the same answer from both, and never in tyro's or Python's own words.
"""

import difflib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Annotated, Any, TypedDict, get_args, get_origin

import tyro

from wmdd.errors import ConfigError
from wmdd.requests.given import Flags, require_target
from wmdd.settings import Section

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


def target_of(kind: type[Flags], words: Sequence[str]) -> str:
    """Return the target, which is the first word.

    tyro's positional arguments cannot find it: in `--dm.lr 3 digits` the flag is not yet known when the command's own
    flags are parsed, and the target would be 3.

    Raises:
        ConfigError: there is none.
    """
    if words and words[0].startswith("-"):
        raise ConfigError(f"{kind.command} needs its target first; got {words[0]}; type {kind.usage}")
    return require_target(kind, words[0] if words else "")


def read_flags(kind: type[Flags], words: Sequence[str]) -> dict[str, Any]:
    """Return the flags of a command that has no settings, unchecked.

    Raises:
        ConfigError: a word is no such flag.
    """
    given, rest = take_flags(kind, words)
    refuse(rest, kind.model_fields)
    return given


def take_flags(kind: type[Flags], words: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Return the values of a command's own flags among words, unchecked, and all other words.

    Raises:
        ConfigError: a flag lacks its value, or has several.
    """
    types = {name: field.annotation for name, field in kind.model_fields.items()}
    return _take(types | {spelling: types[name] for spelling, name in kind.spellings.items()}, words)


def read_settings(
    words: Sequence[str], types: Mapping[str, Any], kind: type[Flags], require: Callable[[list[str]], None]
) -> dict[str, Any]:
    """Return the settings that words give, by dotted name, unchecked.

    Args:
        words: what `take_flags` has left.
        types: settings that there are, and their types.
        kind: the command's own flags.
        require: refuses names that are no settings, as it does for arguments of the function.

    Raises:
        ConfigError: a word is no setting.
    """
    given, rest = _take(types, words)
    flags = [_name_of(word) for word in rest if word.startswith("--")]
    if rest and rest[0].startswith("--"):
        require(flags[:1])
    refuse(rest, [*kind.model_fields, *types])
    return given


def refuse(words: Sequence[str], known: Collection[str]) -> None:
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
    name = _name_of(flag)
    near = difflib.get_close_matches(name, [*known], n=1, cutoff=0.6)
    raise ConfigError(f"unknown flag; got {flag}; {f'did you mean --{near[0]}?' if near else 'see --help'}")


def _name_of(flag: str) -> str:
    """Return the name that a flag has as an argument."""
    return flag.partition("=")[0].lstrip("-").replace("-", "_").replace(".no_", ".")


def _take(types: Mapping[str, Any], words: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Return the values of those flags among words that `types` names, and all other words.

    tyro would complain about a missing or a wrong value in a box of its own and exit. So for tyro every flag but a
    switch takes any number of words.
    """
    kinds = {
        name: Annotated[bool if bool in (kind, *get_args(kind)) else tuple[str, ...], tyro.conf.arg(name=name)]
        for name, kind in types.items()
    }
    given_type: Any = TypedDict("given_type", kinds, total=False)  # pyright: ignore[reportArgumentType] - made here
    given, rest = tyro.cli(given_type, args=list(words), return_unknown_args=True)
    return {name: _value(name, types[name], value) for name, value in given.items()}, rest


def _value(name: str, kind: Any, value: bool | tuple[str, ...]) -> Any:
    """Return the value of a flag as pydantic takes it."""
    flag = f"--{name.replace('_', '-')}"
    if isinstance(value, bool) or {get_origin(each) for each in (kind, *get_args(kind))} & {tuple, list}:
        return value
    if len(value) != 1:
        got = " ".join(value) or "none"
        raise ConfigError(f"{flag} needs {'one' if value else 'a'} value; got {got}; type {flag} VALUE")
    return None if value[0].lower() == "none" and type(None) in get_args(kind) else value[0]


def show_settings(prog: str, default: Section, description: str) -> None:
    """Print the help of a command with all its settings."""
    try:
        tyro.cli(type(default), default=default, args=["--help"], prog=prog, description=description)
    except SystemExit:
        return
