"""The base of all settings."""

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wmdd.errors import ConfigError, did_you_mean

Fraction = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """Base of all settings: frozen, no unknown keys, and every mistake is one `ConfigError` line."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)
    section: ClassVar[str] = ""
    free: ClassVar[frozenset[str]] = frozenset()
    """Settings that change the speed but not the answer; they do not count towards a stage's key."""

    def __init__(self, /, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ConfigError(one_line(error, type(self))) from None

    def counted(self) -> dict[str, Any]:
        """Return the settings that can change the answer and are not at their default, ready for JSON.

        So a new setting with a neutral default leaves the keys of stored results as they are. A default that changes
        changes the answer of the same key: then the stage's version rises.
        """
        return self.model_dump(mode="json", exclude=set(self.free), exclude_defaults=True)

    def with_(self, **changes: Any) -> "Any":
        """Return a copy with some fields replaced, checked like new settings."""
        return type(self)(**{**self.model_dump(), **changes})


class NoSettings(Section):
    """No settings: the seed is the run's."""


_NUMBER = ("not a number", "give a number")
_WHOLE = ("not a whole number", "give a whole number")
_SAID: dict[str, tuple[str, str]] = {
    **dict.fromkeys(("int_parsing", "int_type", "int_from_float", "int_parsing_size"), _WHOLE),
    **dict.fromkeys(("float_parsing", "float_type"), _NUMBER),
    "finite_number": ("not a finite number", "give a finite number"),
    **dict.fromkeys(("bool_parsing", "bool_type"), ("neither true nor false", "give true or false")),
    "string_type": ("not a text", "give a text, in a file in quotes"),
    **dict.fromkeys(("tuple_type", "list_type"), ("not a list", "give a list")),
    **dict.fromkeys(("dict_type", "model_type"), ("not a section of settings", "give settings by name")),
    "too_short": ("too few values", "give at least {min_length}"),
    "literal_error": ("unknown choice", "give {expected}"),
    "greater_than": ("too small", "give more than {gt:g}"),
    "greater_than_equal": ("too small", "give at least {ge:g}"),
    "less_than": ("too large", "give less than {lt:g}"),
    "less_than_equal": ("too large", "give at most {le:g}"),
}
"""Kind of a pydantic mistake → what is wrong, and what to do."""


def one_line(error: ValidationError, model: type[Section]) -> str:
    """Return the first mistake of a pydantic report in one line: what is wrong; got X; do Y."""
    first = error.errors()[0]
    kind, got = first["type"], first["input"]
    path = ".".join(part for part in (model.section, *first["loc"]) if isinstance(part, str) and part)
    if kind == "extra_forbidden":
        return f"{path}: unknown setting{did_you_mean(str(first['loc'][-1]), model.model_fields)}"
    if kind in _SAID:
        wrong, right = _SAID[kind]
        return f"{path}: {wrong}; got {'none' if got == () else repr(got)}; {right.format(**first.get('ctx', {}))}"
    message = first["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    if isinstance(got, dict):  # the settings of a section disagree; the message says which, and what they are
        return f"{path}: {message}" if path else message
    return f"{path}: {message}; got {got!r}" if path else message
