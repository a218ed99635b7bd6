"""JSON from a disk becomes values of known types, or one line."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from wmdd.artifacts.parsing import read_as
from wmdd.errors import ArtifactError


@dataclass(frozen=True)
class Facts:
    seconds: float
    names: tuple[str, ...] = ()


def test_a_file_becomes_a_dataclass_and_unknown_fields_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"seconds": 1.5, "names": ["a"], "newer": {}}')
    assert read_as(Facts, tmp_path / "a.json") == Facts(seconds=1.5, names=("a",))


@pytest.mark.parametrize(
    ("content", "got"),
    [
        ("{}", "seconds: Field required"),
        ('{"seconds": "1"}', "seconds: Input should be a valid number"),
        ('{"seconds": 1, "names": [1]}', "names.0"),
        ("[" * 5000, "recursion"),
        ("\0", "JSON"),
        ("", "JSON"),
        ("[]", "Input should be"),
    ],
)
def test_anything_else_is_one_line(content: str, got: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(ArtifactError, match=r"^[^\n]*run again$") as caught:
        read_as(Facts, tmp_path / "a.json")
    assert got in str(caught.value)
    assert str(tmp_path / "a.json") in str(caught.value)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="No such file"):
        read_as(Facts, tmp_path / "a.json")
