"""The table of benchmarks: its rows and limits; and, slowly, the peak memory of whole stages as classes grow."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks.chain import STAGES, Scene, write_images
from benchmarks.memory import FLAT, LIMIT, LINEAR, linearity, measured, rows_of
from benchmarks.rows import Row, machine, write_rows
from PIL import Image

from benchmarks import label_bytes, table


def test_a_limit_is_an_upper_or_a_lower_one() -> None:
    row = Row(part="ratios", name="recover", value=1.3, unit="of the floor", limit=1.2)
    assert not row.kept
    assert str(row).endswith("BEYOND")
    assert Row(part="memory", name="R²", value=0.99, unit="", limit=0.98, more_is_better=True).kept
    assert not Row(part="memory", name="R²", value=0.97, unit="", limit=0.98, more_is_better=True).kept
    assert Row(part="labels", name="full", value=1e9, unit="B").kept


def test_seconds_are_linear_in_the_classes_or_not() -> None:
    assert linearity([10, 100, 1000], [3 + 0.5 * classes for classes in (10, 100, 1000)]) == pytest.approx(1)
    assert linearity([10, 100, 1000], [100.0, 3.0, 100.0]) < LINEAR


def test_growth_is_that_over_the_last_two_numbers_of_classes() -> None:
    measured_bytes = {"open": [1e6, 1e6, 9e6], "recover": [1e6, 100e6, 121e6], "load": [1e6, 100e6, 119e6]}
    found = {name: {"seconds": [1.0, 2.0, 12.0], "bytes": sizes} for name, sizes in measured_bytes.items()}
    rows = {row.name: row for row in rows_of(found, [10, 100, 1000])}
    assert rows["recover, growth"].value == pytest.approx(1.21)
    assert [name for name, row in rows.items() if not row.kept] == ["recover, growth"]
    assert rows["recover, 1000 classes"].value == pytest.approx(121)
    assert rows["seconds, all"].about == "3 s, 6 s, 36 s"


def test_images_of_a_class_are_the_same_among_few_classes_and_many(tmp_path: Path) -> None:
    scene = Scene(images=2, side=16)
    for classes in (2, 5):
        write_images(tmp_path / str(classes), classes, scene)
    few, many = (sorted((tmp_path / name).rglob("*.jpg")) for name in ("2", "5"))
    assert len(few) == 2 * 4
    assert len(many) == 5 * 4
    assert [path.read_bytes() for path in few] == [
        (tmp_path / "5" / path.relative_to(tmp_path / "2")).read_bytes() for path in few
    ]
    with Image.open(few[0]) as image:
        assert np.asarray(image).shape == (16, 16, 3)


def test_bytes_of_labels_are_those_of_the_formulas() -> None:
    found = {row.name: row.value for row in label_bytes.rows(classes=100, ipc=2)}
    file = 600 / 200  # a stored epoch is a file, of 200 views here
    assert found["topk, 10 logits"] == pytest.approx(3 * 10 + 6, abs=file)
    assert found["online"] == 0
    assert found["full"] > found["topk, 50 logits, 31 passes"]


def test_a_table_has_the_command_and_the_machine_but_no_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [Row(part="labels", name="full", value=2.0, unit="GB", limit=1.0)]
    monkeypatch.setitem(table.PARTS, "labels", lambda _: rows)
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    out = tmp_path / "table.json"
    monkeypatch.setattr("sys.argv", ["table", "--out", str(out), "--parts", "labels"])
    table.main()
    assert "1 figures, 1 beyond their limits" in capsys.readouterr().out
    kept = json.loads(out.read_text())
    assert kept["command"] == "python -m benchmarks.table --parts labels"
    assert {"device", "processors", "threads", "load", "versions", "date"} <= set(kept)
    assert kept["rows"][0]["name"] == "full"
    assert str(tmp_path) not in out.read_text()
    write_rows(out, rows, "again", machine(torch.device("cpu")), scene={"images": 3})
    assert json.loads(out.read_text())["scene"] == {"images": 3}


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_thousand_classes_need_the_memory_of_a_hundred() -> None:
    """Each stage in a process of its own, peak resident memory, mapped files included."""
    found = measured([100, 1000], Scene())
    assert set(found) == set(STAGES)
    growth = {name: found[name]["bytes"][1] / found[name]["bytes"][0] for name in FLAT}
    assert {name: ratio for name, ratio in growth.items() if ratio > LIMIT} == {}
