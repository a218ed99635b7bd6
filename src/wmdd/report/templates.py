"""The templates of this folder: pages, which escape what they are given, and text for other programs."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from wmdd.artifacts.files import write_bytes

ABSENT = "–"
"""Stands for what is not known."""
_LATEX = str.maketrans(
    {
        **{character: f"\\{character}" for character in "&%$#_{}"},
        **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
        **{"±": r"$\pm$", ABSENT: "--"},
    }
)
_MARKDOWN = str.maketrans({"|": "\\|", "\n": " "})


def render(template: str, **content: Any) -> str:
    """Return what a template makes of its content; a name that it does not have is an error."""
    environment = _pages() if template.endswith(".html.j2") else _texts()
    return environment.get_template(template).render(content)


def write_text(path: Path, text: str) -> None:
    """Write a file in one step.

    Raises:
        ArtifactError: it cannot be written; what stood there is untouched.
    """
    write_bytes(path, text.encode())


def _pages() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _texts() -> Environment:
    """Return what fills in LaTeX and Markdown: LaTeX is full of braces, so the delimiters are others."""
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
    environment.filters.update(latex=_latex, markdown=_markdown)
    return environment


def _latex(text: str) -> str:
    return text.translate(_LATEX)


def _markdown(text: str) -> str:
    return text.translate(_MARKDOWN)
