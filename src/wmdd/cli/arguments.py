"""From words to settings. Free of torch: every answer to a wrong word comes at once.

A command has flags of its own, which take one value each; every other `--flag` must be a setting of the command's
settings class, and is parsed by tyro with the recipe's values as defaults.
"""

import difflib
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import tyro

from wmdd.errors import ConfigError
from wmdd.settings import Section

Settings = TypeVar("Settings", bound=Section)
Action = Callable[[], int]
"""What a command does once its words are known to be right; returns the exit code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """The words of a command line, sorted."""

    target: str
    """The one word that stands alone."""
    own: dict[str, str]
    """Flags of the command itself."""
    rest: tuple[str, ...]
    """Settings, for tyro."""


def asks_help(words: Sequence[str]) -> bool:
    """Tell whether somebody asks for help."""
    return any(word in {"-h", "--help"} for word in words)


def split_words(
    command: str, usage: str, words: Sequence[str], own: Mapping[str, str], known: Collection[str] | None = None
) -> Words:
    """Sort the words of a command line.

    Args:
        command: its name, for messages.
        usage: what to type, for messages.
        words: after the command's name.
        own: flags of the command → help.
        known: dotted names of settings; None = the caller checks them with `check_flags`.

    Raises:
        ConfigError: the target is missing, or a flag is unknown or lacks its value.
    """
    if not words or words[0].startswith("-"):
        raise ConfigError(f"{command} needs its target first; got {words[0] if words else 'nothing'}; type {usage}")
    found: dict[str, str] = {}
    rest: list[str] = []
    position = 1
    while position < len(words):
        name, equals, value = words[position].partition("=")
        if name.removeprefix("--") in own and name.startswith("--"):
            if not equals:
                position += 1
                if position == len(words) or words[position].startswith("--"):
                    raise ConfigError(f"{name} needs a value; got none; type {name} VALUE")
                value = words[position]
            found[name.removeprefix("--")] = value
        else:
            if known is not None:
                check_flags([name], own, known)
            rest.append(words[position])
        position += 1
    return Words(target=words[0], own=found, rest=tuple(rest))


def _is_number(word: str) -> bool:
    """Tell whether a word that begins with a minus is a number."""
    try:
        float(word)
    except ValueError:
        return False
    return True


def check_flags(words: Sequence[str], own: Mapping[str, str], known: Collection[str]) -> None:
    """Raise `ConfigError` unless every flag among words is a setting, or `no-` and a setting."""
    for word in words:
        name = word.partition("=")[0]
        plain = _setting_of(name, known)
        if not name.startswith("-") or _is_number(name) or (name.startswith("--") and plain in known):
            continue
        near = difflib.get_close_matches(plain, [*own, *known], n=1, cutoff=0.6)
        raise ConfigError(f"unknown flag; got {name}; {f'did you mean --{near[0]}?' if near else 'see --help'}")


def named_settings(words: Sequence[str], known: Collection[str]) -> list[str]:
    """Return the dotted names of the settings that flags among `words` set; `--no-NAME` sets NAME."""
    flags = (word.partition("=")[0] for word in words if word.startswith("--"))
    return [_setting_of(flag, known) for flag in flags]


def _setting_of(flag: str, known: Collection[str]) -> str:
    plain = flag.lstrip("-").replace("-", "_")
    section, dot, last = plain.rpartition(".")
    return f"{section}{dot}{last.removeprefix('no_')}" if plain not in known else plain


def value_of_flag(words: Sequence[str], flag: str) -> str | None:
    """Return the word after `--FLAG`, or behind its equals sign; None if it is not there."""
    for position, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name == f"--{flag}":
            return value if equals else next(iter(words[position + 1 : position + 2]), None)
    return None


def parse_settings(prog: str, default: Settings, words: Sequence[str]) -> Settings:
    """Return `default` with the settings on the command line replaced.

    Raises:
        ConfigError: a value does not fit its setting.
    """
    with _one_line_errors():
        return tyro.cli(type(default), default=default, args=list(words), prog=prog, description="")


def show_settings(prog: str, default: Section, description: str) -> None:
    """Print the help of a command with all its settings."""
    try:
        tyro.cli(type(default), default=default, args=["--help"], prog=prog, description=description)
    except SystemExit:
        return


def _one_line_errors() -> AbstractContextManager[Any]:
    """Return a context in which tyro's complaints are `ConfigError`s; without its hook, tyro's own box is shown."""
    try:
        from tyro._errors import on_parse_error  # noqa: PLC0415 - private: may be gone
    except ImportError:
        return nullcontext()
    return on_parse_error(_complain)


def _complain(event: Any) -> None:
    """Turn a complaint of tyro's into one line."""
    argument = getattr(event, "argument", None)
    name = getattr(getattr(argument, "lowered", None), "name_or_flags", None) or ()
    flag = next(iter(name), "")
    reason = getattr(event, "reason", None) or getattr(event, "message", None)
    if reason is None and hasattr(event, "value"):
        reason = f"got {event.value!r}; choose one of {', '.join(map(str, getattr(event, 'choices', ()) or ()))}"
    if reason is None and hasattr(event, "tokens"):
        reason = f"unknown words; got {' '.join(event.tokens)}; see --help"
    text = " ".join(str(reason or type(event).__name__).split())
    raise ConfigError(f"{flag}: {text}" if flag else text)
