"""Sphinx settings: Markdown pages under Furo, nothing fetched from outside."""

from importlib.metadata import version as installed_version

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
