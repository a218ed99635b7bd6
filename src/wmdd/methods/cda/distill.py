"""CDA's wiring is SRe2L's: the curriculum of crops is among its settings."""

from wmdd.methods.sre2l.distill import ALGORITHM

__all__ = ["ALGORITHM"]
