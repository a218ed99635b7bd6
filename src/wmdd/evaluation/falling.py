"""A teacher's temperature that falls while a student is trained. Free of torch."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FallingTemperature:
    """The teacher's temperature, falling in steps: T(e) = max(least, T(0) factor^floor(steps e / E)) (LPQLD)."""

    factor: float
    steps: int
    least: float

    def at(self, epoch: int, epochs: int, start: float) -> float:
        """Return T of an epoch, counted from 0, of `epochs`, that begin with T = `start`."""
        return max(self.least, start * self.factor ** (self.steps * epoch // epochs))
