"""The measure of coloured borders, on images whose colours are known."""

import json
from pathlib import Path

import pytest
import torch
from benchmarks.borders import colours, main

import wmdd


def test_grey_has_no_colour_and_a_red_border_is_seen_at_the_border_alone() -> None:
    images = torch.full((2, 3, 8, 8), 100, dtype=torch.uint8)
    assert colours(images) == {"border": 0.0, "next": 0.0, "middle": 0.0}
    images[:, 0, 0] = images[:, 0, -1] = 255
    images[:, 0, :, 0] = images[:, 0, :, -1] = 255
    expected = torch.tensor([255.0, 100.0, 100.0]).std(correction=0)
    assert colours(images) == {"border": pytest.approx(float(expected)), "next": 0.0, "middle": 0.0}


def test_the_rows_of_a_bench_are_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = {"squeeze": {"arch": "convnet1_w4_bn", "epochs": 1}, "evaluate": {"epochs": 1, "seeds": 1}}
    folder, store = tmp_path / "bench", tmp_path / "store"
    wmdd.bench("digits", methods=["random"], ipcs=[1], distill_seeds=2, out=folder, store=store, quiet=True, **small)
    main([str(folder), "--out", str(tmp_path / "borders.json")])
    assert "random" in capsys.readouterr().out
    found = json.loads((tmp_path / "borders.json").read_text())
    assert set(found) == {"command", "commit", "rows"}
    assert {len(values) for values in found["rows"]["random"].values()} == {2}
