"""The base of all settings."""

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wmdd.errors import ConfigError, did_you_mean

Fraction = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """Base of all settings: frozen, no unknown keys, and every mistake is one `ConfigError` line."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
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


def one_line(error: ValidationError, model: type[Section]) -> str:
    """Return the first mistake of a pydantic report in one line."""
    first = error.errors()[0]
    path = ".".join(str(part) for part in (model.section, *first["loc"]) if part != "")
    if first["type"] == "extra_forbidden":
        return f"{path}: unknown setting{did_you_mean(str(first['loc'][-1]), model.model_fields)}"
    message = first["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    return f"{path}: {message}; got {first['input']!r}" if path else message
