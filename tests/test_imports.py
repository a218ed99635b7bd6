"""The structure of the package: who imports whom, and how long things are."""

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src" / "wmdd").rglob("*.py"))
MAX_FILE = 300
MAX_FUNCTION = 60


def test_import_order_is_kept() -> None:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-logo"]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_commands_start_without_heavy_libraries() -> None:
    code = (
        "import sys, wmdd, wmdd.cli.main; print(*({'torch', 'torchvision', 'timm', 'ot', 'sklearn'} & {*sys.modules}))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout.split() == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_files_and_functions_are_short_and_silent(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    assert len(text.splitlines()) <= MAX_FILE
    too_long = {node.name: length for node in functions(tree) if (length := body_length(node)) > MAX_FUNCTION}
    assert too_long == {}
    if "cli" not in path.relative_to(ROOT / "src" / "wmdd").parts:
        assert [node.lineno for node in ast.walk(tree) if is_print(node)] == []


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def body_length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of a function from `def` to its end, without its docstring."""
    first = function.body[0]
    docstring = first.end_lineno - first.lineno + 1 if ast.get_docstring(function, clean=False) is not None else 0
    return function.end_lineno - function.lineno + 1 - docstring


def is_print(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"


def test_names_that_say_nothing_are_not_used() -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "misc", "new", "v2"}
    assert [path for path in SOURCES if vague & {*path.relative_to(ROOT).with_suffix("").parts}] == []


def test_types_are_shipped() -> None:
    spec = importlib.util.find_spec("wmdd")
    assert spec is not None
    assert spec.origin is not None
    assert (Path(spec.origin).parent / "py.typed").exists()
