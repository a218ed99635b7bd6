"""What stands beside a distilled set: as many random real images, medoids, all real images. Free of torch."""

from wmdd.evaluation.protocol_names import find_protocol
from wmdd.evaluation.rows import BASELINE
from wmdd.settings import Recipe

MULTIPLES = (2, 3, 5, 10)
"""Numbers of random real images that an exchange rate is read from, in units of the set's, beside as many as it has."""
_ALL = "all"


def reference_methods(recipe: Recipe) -> tuple[str, ...]:
    """Return the methods whose sets of real images stand beside a run's set, random ones in front.

    The run's own method is not among them.
    """
    named = dict.fromkeys((BASELINE, *recipe.evaluate.references))
    return tuple(name for name in named if name not in {_ALL, recipe.method})


def with_ceiling(recipe: Recipe) -> bool:
    """Return whether students on all real images stand beside: if they are wanted, and a protocol trains any."""
    trains = any(find_protocol(name).procedure != "kernel" for name in recipe.evaluate.protocols)
    return _ALL in recipe.evaluate.references and trains
