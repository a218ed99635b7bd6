"""What other installed packages add: methods, losses, protocols, networks, data. Free of torch.

A package registers an object by an entry point of one of our groups; docs/extending.md has them all. Names and
summaries come from the package's metadata, so that nothing is imported before it is used; a package that cannot be
loaded is one line that names it, and disturbs nothing else.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from wmdd.code_digest import code_digest
from wmdd.errors import ConfigError

Plugin = TypeVar("Plugin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugins(Generic[Plugin]):
    """One kind of thing that packages may add."""

    word: str
    """In messages, such as `"method"`."""
    group: str
    """Of the entry points, such as `"wmdd.methods"`."""
    kind: type[Plugin]
    """What an entry point must lead to; an object with a `name` must have that of its entry point."""
    public: str
    """Where packages import that type from."""
    taken: Callable[[str], bool]
    """Whether a name is built in; no package can take it."""

    def names(self) -> dict[str, str]:
        """Return name → summary and package, in alphabetical order, without what is built in."""
        points = sorted(entry_points(group=self.group), key=lambda point: point.name)
        return {point.name: _summary(point) for point in points if not self.taken(point.name)}

    def beside(self, builtin: Mapping[str, str]) -> dict[str, str]:
        """Return the built-in names with what they mean, then those of packages; it says which package is passed over.

        Args:
            builtin: name → meaning.
        """
        passed: dict[str, list[str]] = {}
        for point in entry_points(group=self.group):
            if self.taken(point.name):
                passed.setdefault(point.name, []).append(_owner(point))
        notes = {
            name: f" (not that of package {' or '.join(sorted(set(owners)))}: built-in names go first)"
            for name, owners in passed.items()
        }
        return {name: f"{meaning}{notes.get(name, '')}" for name, meaning in builtin.items()} | self.names()

    def __contains__(self, name: str) -> bool:
        return not self.taken(name) and any(point.name == name for point in entry_points(group=self.group))

    def load(self, name: str) -> Plugin:
        """Import the package that registers `name`, and return what it registers.

        Raises:
            ConfigError: it cannot be imported, or is something else; or several packages register that name.
        """
        point, owner = self._point(name)
        try:
            found = point.load()
        except Exception as error:
            raise ConfigError(
                f"{self.word} {name!r} of {owner} cannot be loaded; got {in_words(error)}; mend or uninstall that "
                "package"
            ) from error
        own_name = getattr(found, "name", name)
        if not isinstance(found, self.kind) or own_name != name:
            got = f"a {self.word} called {own_name!r}" if isinstance(found, self.kind) else type(found).__name__
            raise ConfigError(
                f"{self.word} {name!r} of {owner}: an entry point must name a {self.public} of its own name; "
                f"got {got}; mend or uninstall that package"
            )
        return found

    def owner(self, name: str) -> str:
        """Return the package that registers `name`; raises `ConfigError` if several do."""
        return self._point(name)[1]

    def code(self, name: str) -> str:
        """Return a digest of the source behind `name`, which is loaded for it; empty if no package registers it.

        Raises:
            ConfigError: as `load`.
        """
        if name not in self:
            return ""
        self.load(name)
        return code_digest(self._point(name)[0].module)

    def _point(self, name: str) -> tuple[EntryPoint, str]:
        points = [point for point in entry_points(group=self.group) if point.name == name]
        owners = sorted({_owner(point) for point in points})
        if len(owners) > 1:
            raise ConfigError(
                f"{self.word} {name!r} is registered twice; got {' and '.join(owners)}; uninstall one of them"
            )
        return points[0], owners[0]


def in_words(error: Exception) -> str:
    """Return an error of foreign code in one line: its type and its message."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def _owner(point: EntryPoint) -> str:
    return str(point.dist.name) if point.dist else point.value


def _summary(point: EntryPoint) -> str:
    known = point.dist.metadata if point.dist else None
    summary = known["Summary"] if known is not None and "Summary" in known else "no summary"
    return f"{summary} (package {_owner(point)})"
