"""What was seen in folders and left out: collected while they are walked, told as warnings."""

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from wmdd.data.sources.kinds import ending
from wmdd.data.sources.listing import printable
from wmdd.warnings import RunWarning

_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Notes:
    """Paths below `root` by what was seen; each is told once."""

    root: str
    links: dict[str, None] = field(default_factory=dict)
    """Links to folders that are listed anyway, or that lead back to where they lie; not followed."""
    repeated: dict[str, None] = field(default_factory=dict)
    """Images that a class has under another path already."""
    skipped: dict[str, None] = field(default_factory=dict)
    """Files of class folders that are no images by their ending, or no regular files."""
    beside: dict[str, None] = field(default_factory=dict)
    """Images beside class folders: they have no class."""
    held_out: dict[str, None] = field(default_factory=dict)
    """Training images that are also validation images."""
    more: list[RunWarning] = field(default_factory=list)
    """Further warnings."""

    def below(self, path: str | os.PathLike[str]) -> str:
        """Return a path below the root, separated by `/`."""
        return os.path.relpath(path, self.root).replace(os.sep, "/")

    def tell(self, kind: str, text: str, count: int) -> None:
        """Add a warning about anything else."""
        self.more.append(RunWarning(kind=kind, text=text, count=count))

    def warnings(self) -> tuple[RunWarning, ...]:
        """Return a warning for each kind of which something was seen."""
        endings = Counter(ending(path.rpartition("/")[2]) for path in self.skipped).most_common()
        kinds = ", ".join(f"{count} {printable(suffix)}" for suffix, count in endings[:_NAMED])
        kinds += ", ..." if len(endings) > _NAMED else ""
        links = "remove these links"
        rows = (
            (
                "skipped files",
                self.skipped,
                f"no images that Pillow opens ({kinds}), left out",
                "convert or remove them",
            ),
            ("images without class", self.beside, "images beside class folders, left out", "sort them into these"),
            ("linked folders", self.links, "links to folders that are listed anyway, not followed", links),
            ("repeated files", self.repeated, "images that their class has already, by a link, counted once", links),
            ("held-out files", self.held_out, "validation images among those of training, by a link, left out", links),
        )
        told = [
            RunWarning(kind=kind, text=f"{what}: {len(seen)} ({first_names(seen)}); {advice}", count=len(seen))
            for kind, seen, what, advice in rows
            if seen
        ]
        return (*told, *self.more)


def first_names(names: Iterable[str]) -> str:
    """Return the first three names and the number of the others, for messages."""
    listed = [printable(name) for name in names]
    more = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
    return ", ".join(listed[:_NAMED]) + more
