"""Sphinx settings: Markdown pages under Furo, nothing fetched from outside."""

from importlib.metadata import version as installed_version
from typing import Any

from wmdd.methods.catalogue import builtin_methods

project = "wmdd"
author = "The wmdd developers"
project_copyright = "2026, The wmdd developers"
release = installed_version("wmdd")
version = release

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"wmdd {release}"

METHODS_MARK = "<!-- table of methods -->"
"""Where the index has the table; the pages under `methods/` join its contents by themselves."""


def methods_table() -> str:
    """Return the cards of the built-in methods as a Markdown table, a row for each."""
    rows = (
        (f"[{name}](methods/{name}.md)", card.title, card.summary, card.source)
        for name, card in builtin_methods().items()
    )
    lines = [("name", "title", "summary", "source"), ("---",) * 4, *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |" for cells in lines)


def _insert_methods(app: Any, name: str, source: list[str]) -> None:
    """Replace the mark when Sphinx reads the index."""
    del app
    if name == "index":
        source[0] = source[0].replace(METHODS_MARK, methods_table())


def setup(app: Any) -> None:
    app.connect("source-read", _insert_methods)
