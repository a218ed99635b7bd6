"""The table of methods."""

from wmdd.methods._method import Method
from wmdd.methods.names import check_method
from wmdd.methods.random import RANDOM
from wmdd.methods.wmdd import WMDD

_TABLE = {method.name: method for method in (WMDD, RANDOM)}


def find_method(name: str) -> Method:
    """Return the method called `name`.

    Raises:
        ConfigError: there is none; the message names the nearest.
    """
    check_method(name)
    return _TABLE[name]
