"""The code of other packages that a run rests on: what its stages' keys cover beside versions and settings."""

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from wmdd.code_digest import code_digest
from wmdd.evaluation.protocol_names import PACKAGED
from wmdd.methods.catalogue import find_method
from wmdd.models.names import NETWORKS
from wmdd.pipeline.checks import further_losses
from wmdd.settings import Recipe
from wmdd.settings.terms import weighted
from wmdd.stages.recovery.further import LOSSES
from wmdd.stages.stage import Stage


def named_networks(recipe: Recipe) -> tuple[str, ...]:
    """Return every network that a recipe names, each once."""
    own = find_method(recipe.method).network_names(recipe)
    return tuple(dict.fromkeys((recipe.squeeze.arch, *recipe.evaluate.students, *recipe.relabel.teachers, *own)))


def packaged_names(recipe: Recipe) -> dict[str, str]:
    """Return name → digest of the code of the networks, protocols and losses that other packages give to a run.

    Raises:
        ConfigError: a package cannot be loaded.
    """
    found = [
        *((name, NETWORKS.code(name)) for name in named_networks(recipe)),
        *((name, PACKAGED.code(name)) for name in recipe.evaluate.protocols),
        *((name, LOSSES.code(name)) for name in weighted(further_losses(recipe))),
    ]
    names = dict.fromkeys(name for name, code in found if code)
    return {name: " ".join(code for other, code in found if other == name and code) for name in names}


def code_of(stage: Stage, settings: Mapping[str, Any], packaged: Mapping[str, str]) -> dict[str, str]:
    """Return what identifies the foreign code of a stage's result; nothing if it has none.

    Args:
        stage: the stage, whose function may be another package's.
        settings: all its settings, among whose values are the names of what it takes from packages.
        packaged: `packaged_names` of the run.
    """
    own = code_digest(_module_of(stage.run))
    texts = {text.partition("=")[0] for text in _texts(settings)} if packaged else set[str]()
    named = {f"code of {name}": code for name, code in packaged.items() if name in texts}
    return ({"code": own} if own else {}) | named


def _module_of(function: Callable[..., Any]) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__module__", type(function).__module__)


def _texts(value: Any) -> Iterator[str]:
    """Yield every text among values, in lists and mappings of any depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part)
