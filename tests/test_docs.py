"""The documents keep their word: links lead somewhere, commands parse, Python blocks run."""

import importlib.util
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

import wmdd
from wmdd.cli.main import parse
from wmdd.methods.catalogue import builtin_methods, complete, known_settings

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(page for page in (ROOT / "docs").rglob("*.md") if "_build" not in page.parts),
]
EXEMPT = "<!-- no-test -->"
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    code: str
    exempt: bool


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    found: list[Block] = []
    for match in FENCE.finditer(text):
        before = text[: match.start()]
        above = before.rstrip().rpartition("\n")[2]
        found.append(Block(page, before.count("\n") + 2, match[1], match[2], above == EXEMPT))
    return found


def python_blocks(page: Path) -> list[Block]:
    return [block for block in blocks(page) if block.language == "python" and not block.exempt]


def command_lines() -> list[str]:
    shell = [block for page in PAGES for block in blocks(page) if block.language in {"bash", "sh", "console"}]
    lines = [
        line.strip() for block in shell if not block.exempt for line in block.code.replace("\\\n", " ").splitlines()
    ]
    return sorted({line for line in lines if line.startswith("wmdd ")})


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    targets = [target.partition("#")[0] for target in LINK.findall(page.read_text()) if "://" not in target]
    assert [target for target in targets if target and not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_python_blocks_compile_and_name_what_exists(page: Path) -> None:
    for block in python_blocks(page):
        compile(block.code, f"{named(page)}:{block.line}", "exec")
        unknown = {name for name in re.findall(r"\bwmdd\.([a-z]\w*)", block.code) if not hasattr(wmdd, name)}
        assert unknown == set(), f"{named(page)}:{block.line}"


@pytest.mark.parametrize("line", command_lines())
def test_commands_parse(line: str) -> None:
    parse(shlex.split(line, comments=True)[1:])


def test_every_setting_that_is_named_exists() -> None:
    names = known_settings()
    sections = {name.partition(".")[0] for name in names if "." in name}
    pattern = re.compile(rf"`(?:--)?((?:{'|'.join(sections)})\.[a-z_]+)")
    wrong = {(named(page), name) for page in PAGES for name in pattern.findall(page.read_text()) if name not in names}
    assert wrong == set()


@pytest.mark.parametrize("name", builtin_methods())
def test_every_method_has_a_card(name: str) -> None:
    card = (ROOT / "docs" / "methods" / f"{name}.md").read_text()
    parts = ("What it does", "Equation", "Settings", "Numbers to expect", "Cost", "Where it fails")
    assert [part for part in parts if f"## {part}" not in card] == []


def sphinx_settings() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_conf", ROOT / "docs" / "conf.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Application:
    """What the settings ask of Sphinx."""

    def connect(self, event: str, callback: Callable[[object, str, list[str]], None]) -> None:
        assert event == "source-read"
        self.on_read = callback


def test_the_index_has_a_row_for_every_method() -> None:
    conf, app = sphinx_settings(), Application()
    conf.setup(app)
    page, other = [(ROOT / "docs" / "index.md").read_text()], [conf.METHODS_MARK]
    app.on_read(app, "index", page)
    app.on_read(app, "bench", other)
    rows = [line for line in page[0].splitlines() if line.startswith("| [")]
    assert [row.count("|") for row in rows] == [5] * len(rows)
    assert {row.split("]")[0].removeprefix("| [") for row in rows} == set(builtin_methods())
    assert [target for target in LINK.findall(page[0]) if not (ROOT / "docs" / target).exists()] == []
    assert "\nmethods/*\n" in page[0]
    assert other == [conf.METHODS_MARK]


def test_the_list_of_files_to_read_is_short_and_right() -> None:
    row = re.compile(r"^\| \[(\S+\.py)\]\(src/wmdd/\1\) \| (\d+) \| \S", re.MULTILINE)
    listed = {name: int(lines) for name, lines in row.findall((ROOT / "README.md").read_text())}
    real = {name: len((ROOT / "src" / "wmdd" / name).read_text().splitlines()) for name in listed}
    assert 10 <= len(listed) <= 15
    assert sum(real.values()) <= 1800
    assert {name: real[name] for name, lines in listed.items() if abs(lines - real[name]) > 10 + lines / 4} == {}


@pytest.mark.parametrize("name", builtin_methods())
def test_cards_give_the_defaults_of_the_settings(name: str) -> None:
    """Numbers, switches and one word of code must be the default; other words may explain it."""
    recipe, rows = complete({"method": name}), re.compile(r"^\| `([a-z]+\.[a-z_]+)` \| ([^|]+?) \|", re.MULTILINE)
    for setting, said in rows.findall((ROOT / "docs" / "methods" / f"{name}.md").read_text()):
        section, _, field = setting.partition(".")
        default = getattr(getattr(recipe, section), field)
        if isinstance(default, bool):
            assert said == ("on" if default else "off"), setting
        elif isinstance(default, int | float) or re.fullmatch("`[^`]+`", said):
            assert said.strip("`").removesuffix(".0") == str(default).removesuffix(".0"), setting


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_pages_name_no_place_that_readers_do_not_have(page: Path) -> None:
    assert re.findall(r"/(work|tmp|home|root)/|DESIGN\.md|reference/[A-Z]", page.read_text()) == []


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if python_blocks(page)], ids=named)
def test_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a page's blocks from top to bottom in one namespace, as a reader would in a notebook."""
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in python_blocks(page):
        code = "\n" * (block.line - 1) + block.code
        exec(compile(code, str(page), "exec"), namespace)
