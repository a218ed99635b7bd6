"""The templates of this folder: HTML pages, which escape their content, and text for other programs."""

from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

ABSENT = "–"
"""Shown for unknown values."""
_LATEX = str.maketrans(
    {
        **{character: f"\\{character}" for character in "&%$#_{}"},
        **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
        **{"±": r"$\pm$", "×": r"$\times$", "−": "$-$", ABSENT: "--"},
    }
)
_MARKDOWN = str.maketrans({"|": "\\|", "\n": " "})


def render(template: str, **content: Any) -> str:
    """Return a filled template; a name missing from the content is an error.

    File names may hold bytes that are no text; a question mark stands for each.
    """
    environment = _pages() if template.endswith(".html.j2") else _texts()
    return environment.get_template(template).render(content).encode("utf-8", "replace").decode("utf-8")


def _pages() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _texts() -> Environment:
    """Return the environment of LaTeX and Markdown; LaTeX is full of braces, so it has delimiters of its own."""
    environment = _pages().overlay(
        autoescape=False,
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
        keep_trailing_newline=True,
    )
    environment.filters["latex"] = partial(_translated, table=_LATEX)
    environment.filters["markdown"] = partial(_translated, table=_MARKDOWN)
    return environment


def _translated(text: str, table: dict[int, str]) -> str:
    return text.translate(table)
