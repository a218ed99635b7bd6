"""Where a set or an export cannot be written, one line says why, and nothing half-written stays."""

import resource
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from altered import drawn_labels, drawn_set, written
from torchvision.datasets import ImageFolder

from wmdd.errors import WmddError
from wmdd.product.folders import folder_names
from wmdd.product.reading import load
from wmdd.product.writing import ExportFormat, export_set, write_product
from wmdd.values import DistilledSet

FORMATS = get_args(ExportFormat)


@contextmanager
def full_disk(size: int) -> Generator[None]:
    """Let no file grow beyond `size` bytes: the error comes from the same calls as that of a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("size", [0, 100])
def test_export_to_a_full_disk(form: ExportFormat, size: int, tmp_path: Path) -> None:
    with (
        full_disk(size),
        pytest.raises(WmddError, match=r"^cannot write [^\n]*File too large[^\n]*; make room") as caught,
    ):
        export_set(drawn_set(), tmp_path / "out", form)
    assert "--to" in str(caught.value)
    assert below(tmp_path) == []


@pytest.mark.parametrize("size", [0, 100, 1500, 3000])
def test_a_product_on_a_full_disk(size: int, tmp_path: Path) -> None:
    with full_disk(size), pytest.raises(WmddError, match=r"^cannot write [^\n]*File too large[^\n]*$"):
        written(tmp_path / "set")
    assert below(tmp_path) == []


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("in_the_way", ["file", "parent", "work", "work file", "link", "dangling link", "long"])
def test_things_in_the_way(form: ExportFormat, in_the_way: str, tmp_path: Path) -> None:
    to = tmp_path / "out"
    match in_the_way:
        case "file":
            to.write_text("x")
        case "parent":
            to.write_text("x")
            to /= "below"
        case "work":
            (tmp_path / ".out.writing" / "left").mkdir(parents=True)
        case "work file":
            (tmp_path / ".out.writing").write_text("x")
        case "link":
            (tmp_path / "real").mkdir()
            to.symlink_to("real")
        case "dangling link":
            to.symlink_to("real")
        case _:
            to = tmp_path / ("x" * 300)
    before = below(tmp_path)
    if "work" in in_the_way or "link" in in_the_way:
        export_set(drawn_set(), to, form)
        assert len(below(to)) > 0
        assert not list(tmp_path.glob(".*"))
        return
    with pytest.raises(WmddError, match=r"^[^\n]+; [^\n]+$"):
        export_set(drawn_set(), to, form)
    assert below(tmp_path) == before


def test_a_failed_rename_brings_the_old_set_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = written(tmp_path / "set")
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if self.name == ".set.writing":
            raise OSError("no")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(WmddError, match="cannot write"):
        write_product(drawn_set(), drawn_labels("online"), folder, facts={})
    monkeypatch.undo()
    labels = load(folder).soft_labels
    assert labels is not None
    assert labels.store == "full"
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"weights": torch.full((6,), float("nan"))}, "nan in row 0 of column weight"),
        ({"weights": torch.full((6,), 1 / 6)}, "weights that sum to 0.333333 in class 0"),
        ({"labels": torch.tensor([0, 1, 2, 0, 1, 2])}, "1 in row 1 of column label"),
        ({"classes": ("a", "b", "c", "d")}, "6 images of 4 classes"),
    ],
)
def test_what_no_method_should_make_is_not_written(fields: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(WmddError, match=f"^method wmdd made no distilled set; got [^\n]*{said}"):
        write_product(replace(drawn_set(), **fields), None, tmp_path / "set", facts={})
    assert below(tmp_path) == []


AWKWARD = (
    "a/b",
    "..",
    "",
    ".",
    "/etc",
    "Straße",
    "STRASSE",
    "é",
    "e\u0301",
    "漢" * 200,
    "con",
    "x\ny",
    "~",
    "a ",
    "😀" * 90,
)


@pytest.mark.parametrize("form", FORMATS)
def test_class_names_that_are_no_names_of_folders(form: ExportFormat, tmp_path: Path) -> None:
    small = _with_classes(AWKWARD)
    export_set(small, tmp_path / "out", form)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    if form == "imagefolder":
        read = ImageFolder(str(tmp_path / "out" / "train"))
        assert read.targets == small.labels.tolist()
        assert len(below(tmp_path / "out" / "train")) == 2 * len(AWKWARD)


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        (("é", "e\u0301"), ["0_é", "1_e\u0301"]),
        (("nul", "x"), ["0_nul", "1_x"]),
        (("Com1.txt",), ["0_Com1.txt"]),
        (("", ""), ["0_class", "1_class"]),
        (("\udcff", "b"), ["_", "b"]),
    ],
)
def test_names_that_are_alike_or_reserved_somewhere_are_numbered(classes: tuple[str, ...], expected: list[str]) -> None:
    assert folder_names(classes) == expected


def test_long_names_fit_whatever_their_letters() -> None:
    assert max(len(name.encode()) for name in folder_names(["漢" * 200, "x" * 300])) <= 130


def test_awkward_names_come_back(tmp_path: Path) -> None:
    write_product(_with_classes(AWKWARD), None, tmp_path / "set", facts={})
    assert load(tmp_path / "set").classes == AWKWARD


def _with_classes(classes: tuple[str, ...]) -> DistilledSet:
    count = len(classes)
    return replace(
        drawn_set(),
        images=torch.zeros(count, 1, 8, 8, dtype=torch.uint8),
        labels=torch.arange(count),
        weights=torch.ones(count),
        classes=classes,
        mean=(0.5,),
        std=(0.5,),
        exact=None,
        targets=None,
        rates=None,
    )
