"""SRe2L's wiring is that of inversion: what the authors' script does is in the settings."""

from wmdd.methods.inversion.distill import ALGORITHM

__all__ = ["ALGORITHM"]
