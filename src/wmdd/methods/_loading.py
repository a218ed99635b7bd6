"""Load a method of another package, and let its own settings check what was set for it."""

from collections.abc import Mapping
from typing import Any

from wmdd.errors import ConfigError
from wmdd.methods._method import Method
from wmdd.methods.plugins import owner, registrations


def load_plugin(name: str) -> Method:
    """Import the package that registers `name` and return its method.

    Raises:
        ConfigError: two packages register it, it cannot be imported, or what it names is no such method.
    """
    points = registrations(name)
    owners = sorted({owner(point) for point in points})
    if len(owners) > 1:
        raise ConfigError(f"method {name!r} is registered twice; got {' and '.join(owners)}; uninstall one of them")
    try:
        method = points[0].load()
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(
            f"method {name!r} of {owners[0]} cannot be loaded; got {reason}; mend or uninstall that package"
        ) from error
    if not isinstance(method, Method) or method.name != name:
        got = f"a method called {method.name!r}" if isinstance(method, Method) else type(method).__name__
        raise ConfigError(
            f"method {name!r} of {owners[0]}: an entry point must name a wmdd.methods.Method of its own name; got {got}"
        )
    return method


def check_options(method: Method, options: Mapping[str, Any]) -> None:
    """Let a method's own settings check `recipe.options`.

    Raises:
        ConfigError: one of them is unknown to the method, or does not fit.
    """
    if method.options is not None:
        method.options(**options)
    elif options:
        raise ConfigError(f"method {method.name!r} has no options; got {', '.join(options)}; leave options out")
