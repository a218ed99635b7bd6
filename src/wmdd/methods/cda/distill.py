"""CDA's wiring is that of inversion: the curriculum of crops is among its settings."""

from wmdd.methods.inversion.distill import ALGORITHM

__all__ = ["ALGORITHM"]
