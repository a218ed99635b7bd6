"""Packages as pip would leave them: modules, and metadata with entry points, on a path of imports."""

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Site:
    """A folder of installed packages."""

    folder: Path
    patch: pytest.MonkeyPatch
    packages: dict[str, Path] = field(default_factory=dict)

    def install(self, files: dict[str, str], points: str, package: str = "wmdd_mine", summary: str = "mine") -> None:
        """Install modules under the metadata of a package; `points` is its `entry_points.txt`."""
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        info = self.folder / f"{package}-1.0.dist-info"
        info.mkdir()
        about = f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\nSummary: {summary}\n"
        (info / "METADATA").write_text(about, encoding="utf-8")
        (info / "entry_points.txt").write_text(points, encoding="utf-8")
        self.forget(*files)

    def edit(self, file: str, old: str, new: str) -> None:
        """Edit a module, as before the next start of Python."""
        path = self.folder / file
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1
        path.write_text(text.replace(old, new), encoding="utf-8")
        self.forget(file)

    def forget(self, *files: str) -> None:
        """Let modules be imported anew."""
        sys.path_importer_cache.pop(str(self.folder), None)
        for name in files:
            module = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            self.patch.delitem(sys.modules, module, raising=False)
            for cached in (self.folder / name).parent.glob(f"__pycache__/{Path(name).stem}.*.pyc"):
                cached.unlink()


@dataclass(frozen=True)
class Page:
    """A page that shows a package of one module."""

    path: Path

    @property
    def module(self) -> str:
        """The name of its file, which stands before the code."""
        found = re.search(r"`(\w+\.py)`:?\n", self.path.read_text(encoding="utf-8"))
        assert found is not None
        return found[1]

    def block(self, language: str) -> str:
        """Return the one block of a language."""
        (found,) = (text for kind, text in _BLOCK.findall(self.path.read_text(encoding="utf-8")) if kind == language)
        return found

    @property
    def points(self) -> str:
        """The entry points as an installer writes them."""
        head, line = self.block("toml").strip().splitlines()
        group = head.removeprefix('[project.entry-points."').removesuffix('"]')
        return f"[{group}]\n{line.replace(chr(34), '')}\n"

    @property
    def commands(self) -> list[list[str]]:
        """The words of its commands, without `wmdd`."""
        return [line.split()[1:] for line in self.block("bash").splitlines()]

    def install(self, site: Site) -> None:
        """Install its package."""
        site.install({self.module: self.block("python")}, self.points, summary=f"of page {self.path.stem}")


def page(name: str) -> Page:
    """Return the page about one kind of what packages add."""
    return Page(DOCS / "extending" / f"{name}.md")
