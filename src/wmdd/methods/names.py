"""Names and one-line descriptions of the methods, without loading any of them."""

from wmdd.errors import ConfigError, did_you_mean

METHODS = {
    "wmdd": "images whose features hit a Wasserstein barycenter, under per-class BatchNorm statistics (ICCV 2025)",
    "random": "real images, drawn uniformly; always evaluated beside every other method",
}


def check_method(name: str) -> None:
    """Raise `ConfigError` for a method that is not in the table."""
    if name not in METHODS:
        raise ConfigError(f"method: unknown; got {name!r}{did_you_mean(name, METHODS)}")
