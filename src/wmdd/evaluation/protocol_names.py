"""Protocols by name: the built-in ones, and those of other packages. Free of torch."""

from dataclasses import fields
from typing import get_type_hints

from pydantic import TypeAdapter, ValidationError

from wmdd.errors import ConfigError, did_you_mean
from wmdd.evaluation.protocols import PROTOCOLS, EvaluationProtocol
from wmdd.plugins import Plugins
from wmdd.settings import EvaluateSettings

PACKAGED = Plugins(
    word="protocol",
    group="wmdd.protocols",
    kind=EvaluationProtocol,
    public="wmdd.evaluation.protocols.EvaluationProtocol",
    taken=lambda name: name in PROTOCOLS,
)
"""The protocols of other packages. None has the name of a built-in one: scores would be compared that are not alike."""


def list_protocols() -> dict[str, str]:
    """Return name → one line about each protocol; those of packages last, which are not imported."""
    return PACKAGED.beside({name: f"{each.summary} ({each.source})" for name, each in PROTOCOLS.items()})


def find_protocol(name: str) -> EvaluationProtocol:
    """Return the protocol called `name`.

    Raises:
        ConfigError: it is unknown, and the message names the nearest; or it is another package's, and broken.
    """
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    if name not in PACKAGED:
        raise ConfigError(f"unknown protocol; got {name!r}{did_you_mean(name, list_protocols())}")
    protocol = PACKAGED.load(name)
    require_sound(protocol, PACKAGED.owner(name))
    return protocol


def chosen_protocols(settings: EvaluateSettings) -> tuple[EvaluationProtocol, ...]:
    """Return the protocols that settings name, with what they change in them."""
    return tuple(find_protocol(name).with_(epochs=settings.epochs, batch=settings.batch) for name in settings.protocols)


def require_sound(protocol: EvaluationProtocol, owner: str) -> None:
    """Refuse a protocol of the package `owner` with a field whose value no protocol can have.

    Raises:
        ConfigError: there is such a field.
    """
    hints = get_type_hints(EvaluationProtocol, include_extras=True)
    for part in fields(protocol):
        value = getattr(protocol, part.name)
        try:
            TypeAdapter(hints[part.name]).validate_python(value, strict=True)
        except ValidationError as error:
            wrong = error.errors()[0]["msg"].lower()
            raise ConfigError(
                f"protocol {protocol.name!r} of {owner}: {part.name}: {wrong}; got {value!r}; mend that package"
            ) from None
