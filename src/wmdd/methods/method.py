"""A method as data: its card. Free of torch: what the method does is imported when it is run."""

from collections.abc import Mapping
from dataclasses import dataclass, field

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
    """Columns of the log that its stages write, and what they are called in the report."""
    networks: tuple[str, ...] = ()
    """Settings that name networks which it builds beside the teacher's; checked before anything is run."""
    bibtex: str = ""
    """What to cite; empty = `source` alone."""
    real: bool = False
    """Whether its images are real ones, whole or in pieces."""
    needs_batchnorm: bool = False
    """Whether it works only with a teacher that has BatchNorm layers."""
    own_procedure: str = "training"
    """What protocol `own` does with its sets: `"training"`, or `"kernel"` for kernel regression."""

    def network_names(self, recipe: Recipe) -> tuple[str, ...]:
        """Return the networks that the method builds under the settings of `recipe`."""
        found: list[str] = []
        for setting in self.networks:
            section, _, name = setting.partition(".")
            value = getattr(getattr(recipe, section), name)
            found += [value] if isinstance(value, str) else value
        return tuple(found)
