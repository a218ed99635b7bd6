"""A method as data: its card. Free of torch: the algorithm is imported when it runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import attrgetter

from wmdd.settings import Recipe, Section


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """The card of a method, built in or of another package; docs/extending.md writes one."""

    name: str
    title: str
    """As papers write it."""
    summary: str
    """One line for `wmdd list methods`."""
    source: str
    """Papers, with their arXiv numbers."""
    algorithm: str
    """Module with an `ALGORITHM`, such as `wmdd.methods.dm.distill`."""
    settings: tuple[type[Section], ...] = ()
    """Sections that it reads beside those of every run; the name of a section is that of its flags: `--dm.lr`."""
    stages: tuple[str, ...] = ()
    """Names of the stages that it runs, in order, beside those of every run."""
    losses: Mapping[str, str] = field(default_factory=dict)
    """Columns of the log that its stages write, and their labels in the report."""
    networks: tuple[str, ...] = ()
    """Settings that name further networks, which are checked before anything runs."""
    bibtex: str = ""
    """What to cite; empty = `source` alone."""
    real: bool = False
    """Whether its images are real ones, whole or in pieces."""
    needs_batchnorm: bool = False
    """Whether it works only with a teacher that has BatchNorm layers."""
    own_teacher: bool = False
    """Whether one of its stages makes the teacher, in place of squeeze."""
    own_procedure: str = "training"
    """How protocol `own` evaluates its sets: `"training"`, or `"kernel"` for kernel regression."""

    def network_names(self, recipe: Recipe) -> tuple[str, ...]:
        """Return the networks that the method builds under the settings of `recipe`."""
        values = (attrgetter(setting)(recipe) for setting in self.networks)
        return tuple(name for value in values for name in ([value] if isinstance(value, str) else value))
