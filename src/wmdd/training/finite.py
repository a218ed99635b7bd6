"""Values that are not finite: which tensor has them, for messages that say what was wrong first."""

from collections.abc import Mapping

from torch import Tensor, nn

from wmdd.errors import NumericsError
from wmdd.models.finite import first_nonfinite


def require_finite(what: str, tensors: Mapping[str, Tensor], advice: str) -> None:
    """Refuse tensors with NaN or infinity before anything is computed from them.

    Args:
        what: they are, in words.
        tensors: by name.
        advice: what to do.

    Raises:
        NumericsError: with the name of the first such tensor.
    """
    name = first_nonfinite(tensors)
    if name is not None:
        raise NumericsError(f"{what} are not finite; got NaN or infinity in {name}; {advice}")


def weights_in_words(model: nn.Module) -> str:
    """Return whether a network's weights are finite, for a message about what it answers."""
    name = first_nonfinite(model)
    return "its weights are finite" if name is None else f"its weights {name} are not finite either"
