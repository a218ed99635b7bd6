"""docs/paper.md: every row has code that exists and a command that parses; every recipe of the paper is on it."""

import argparse
import importlib
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from wmdd.cli.main import parse
from wmdd.recipes import BENCHES

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Line:
    """A row of one of the page's tables."""

    paper: str
    code: tuple[str, ...]
    command: str
    measured: str


def lines() -> list[Line]:
    rows = [line for line in PAGE.splitlines() if line.startswith("|") and not set(line) <= set("|- ")]
    found: list[Line] = []
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert len(cells) == 4, row
        if cells != ["paper", "code", "command", "measured"]:
            paper, code, command, measured = cells
            found.append(Line(paper, tuple(re.findall(r"`([\w.]+)`", code)), command.strip("`"), measured))
    return found


def scripts() -> list[str]:
    """The commands of benchmarks that the page names anywhere."""
    return sorted({word for word in re.findall(r"`(python [^`]+)`", PAGE) if "RECIPE" not in word})


@pytest.mark.parametrize("line", lines(), ids=lambda line: line.paper[:40])
def test_a_row_has_code_that_exists_a_command_and_what_was_measured(line: Line) -> None:
    assert line.code
    assert line.command.startswith(("wmdd ", "python "))
    assert line.measured
    for name in line.code:
        assert resolves(name), name


def resolves(name: str) -> bool:
    """Whether a dotted name is a module, or leads from one to an attribute."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            place: Any = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            place = getattr(place, part, None)
        return place is not None
    return False


def test_what_does_not_exist_does_not_resolve() -> None:
    assert not resolves("wmdd.ot.plan.nowhere")
    assert not resolves("nowhere.at.all")
    assert resolves("wmdd.ot.plan.transport")


@pytest.mark.parametrize("command", sorted({line.command for line in lines() if line.command.startswith("wmdd ")}))
def test_a_command_of_the_program_parses_and_its_recipe_exists(command: str) -> None:
    parse(shlex.split(command)[1:])


class Parsed(Exception):  # noqa: N818 - not an error: what the test waits for
    """A script has understood its words."""


@pytest.mark.parametrize("command", scripts())
def test_a_command_of_a_script_parses(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = shlex.split(command)[1:]
    name = words[1] if words[0] == "-m" else words[0].removesuffix(".py").replace("/", ".")
    words = words[2:] if words[0] == "-m" else words[1:]
    module = importlib.import_module(name)
    monkeypatch.setattr(sys, "argv", [name, *words])
    if hasattr(module, "tune"):  # understands the flags of `wmdd bench` too

        def reached(request: Any, given: argparse.Namespace) -> int:
            del request, given
            raise Parsed

        monkeypatch.setattr(module, "tune", reached)
    else:
        original = argparse.ArgumentParser.parse_args

        def parse_args(parser: argparse.ArgumentParser, given: Sequence[str] | None = None) -> argparse.Namespace:
            original(parser, given)
            raise Parsed

        monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_args)
    with pytest.raises(Parsed):
        module.main()


def test_every_table_of_the_paper_is_on_the_page() -> None:
    named = {name for line in lines() for name in re.findall(r"--recipe (\S+)", line.command)}
    wanted = {name for name in BENCHES if name.startswith("paper_") and not name.endswith("_smoke")}
    small = {name for name in BENCHES if name.startswith("testbed_") and name.replace("testbed", "paper") in BENCHES}
    assert wanted | small <= named
    assert {name for name in BENCHES if re.fullmatch(r"paper_\w+_smoke", name)} <= set(re.findall(r"\w+_smoke", PAGE))


def test_where_sources_differ_the_page_says_both() -> None:
    for one, other in (("63.8", "63.5"), ("37.3", "36.4")):
        assert any(one in line.paper and other in line.paper for line in lines())
    for line in lines():
        assert "imagenet1k" not in line.command or "--squeeze.pretrained" in line.command, line.command
