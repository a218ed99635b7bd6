"""What is made for a machine with a GPU runs on the CPU, on the smallest inputs."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks.gpu import main

from benchmarks import reproduce, smoke

CPU = torch.device("cpu")


def result(folder: Path, name: str) -> dict[str, Any]:
    text = (folder / f"gpu_{name}_cpu.json").read_text()
    assert str(folder) not in text  # no paths of the machine
    return json.loads(text)


def test_every_stage_and_every_method_is_a_case() -> None:
    names = " ".join(smoke.cases())
    for name in ("squeeze", "statistics", "barycenter", "recover", "relabel", "evaluate, wmdd", "diagnose", "pool"):
        assert f"stage {name}" in names
    assert "method wmdd" in names
    assert "method mtt" in names


def test_smoke_says_that_there_is_no_gpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["smoke", "--device", "cpu", "--only", "relabel, largest", "--results", str(tmp_path)]) == 0
    assert "No GPU: the CPU takes its place" in capsys.readouterr().out
    found = result(tmp_path, "smoke")
    assert (found["gpu"], found["command"]) == (
        False,
        "python -m benchmarks.gpu smoke --device cpu --only relabel, largest",
    )
    assert [case["holds"] for case in found["cases"]] == [True]


@pytest.mark.parametrize(
    ("other", "holds"),
    [
        (torch.tensor([1.0, 2.0, float("nan")]), True),
        (torch.tensor([1.0005, 2.0, float("nan")]), True),
        (torch.tensor([1.01, 2.0, float("nan")]), False),
        (torch.tensor([1.0, 2.0, 3.0]), False),
        (torch.tensor([1.0, 2.0]), False),
    ],
)
def test_what_differs_is_found(monkeypatch: pytest.MonkeyPatch, other: torch.Tensor, holds: bool) -> None:
    results = iter([torch.tensor([1.0, 2.0, float("nan")]), other])  # that of the CPU comes first
    monkeypatch.setattr(smoke, "cases", lambda: {"case": lambda _: {"a": next(results)}})
    assert smoke.compare("case", CPU).holds == holds


def test_a_case_that_fails_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = iter([0, 1])
    monkeypatch.setattr(smoke, "cases", lambda: {"case": lambda _: {"a": torch.ones(1)} if next(runs) == 0 else 1 / 0})
    found = smoke.compare("case", CPU)
    assert not found.holds
    assert "ZeroDivisionError" in found.text


def test_a_device_that_is_not_there_is_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["smoke", "--device", "cuda:77", "--results", str(tmp_path)]) == 2
    assert "cannot be used here; got 'cuda:77'" in capsys.readouterr().err


def test_ratios_of_every_stage(tmp_path: Path) -> None:
    small = ["--arch", "convnet1_w4_bn", "--side", "8", "--copies", "1", "--rounds", "1", "--precisions", "fp32"]
    assert main(["ratios", "--device", "cpu", *small, "--results", str(tmp_path)]) == 0
    found = result(tmp_path, "ratios")["ratios"]
    assert [row["stage"] for row in found] == ["squeeze", "statistics", "recover", "relabel", "evaluate"]
    assert all(row["ratio"] == row["full"] / row["bare"] > 0 for row in found)


def test_the_table_stops_in_time_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    places = ["--out", str(tmp_path / "out"), "--store", str(tmp_path / "store"), "--results", str(tmp_path)]
    words = ["reproduce", "digits", "--effort", "tiny", "--device", "cpu", "--ipcs", "2", *places]
    assert main([*words, "--minutes", "0"]) == 0
    assert "not finished; the same command goes on" in capsys.readouterr().out
    assert not any(row.get("top1") for row in result(tmp_path, "reproduce_tiny")["rows"])
    assert main(words) == 0
    assert capsys.readouterr().out.endswith("\nfinished\n")
    found = result(tmp_path, "reproduce_tiny")
    assert [row["row"] for row in found["rows"]] == ["random", "all real images", "wmdd", "wmdd-paper", "sre2l"]
    assert all(row["state"] == "finished" and len(row["top1"]) == 3 for row in found["rows"])
    assert found["command"].endswith("reproduce digits --effort tiny --device cpu --ipcs 2")
    assert not any(row.get("published") for row in found["rows"])


def test_a_part_that_fails_is_not_finished(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    places = ["--out", str(tmp_path / "out"), "--store", str(tmp_path / "store"), "--results", str(tmp_path)]
    assert main(["reproduce", str(tmp_path / "nowhere"), "--device", "cpu", *places]) == 2
    assert "nowhere" in capsys.readouterr().err


def test_the_estimate_counts_the_passes_of_the_table() -> None:
    """By hand: ResNet-18 at 224 px has 1.814e9 multiplications forward, of two FLOPs each."""
    forward = 2 * 1.814e9
    (teacher_and_one,) = reproduce.estimates("whole", (1,))
    students = 4 * 3 * (3 * 300 * 10 + 3925)  # four sets, three students: 300 epochs of 10 images, one test
    real = 3 * (3 * 300 * 10 + 3925 + 300 * 10)  # all real images, which the teacher answers
    labels = 4 * 300 * 10
    recovery = 3 * 9469 + 1.5 * 3 * 10 * (2000 + 2000 + 4000)  # SRe2L has its own number of steps
    teacher = 3 * 50 * 9469
    passes = students + real + labels + recovery + teacher
    assert teacher_and_one.petaflop == pytest.approx(forward * passes / 1e15, rel=0.01)
    sized, whole = (sum(part.minutes for part in reproduce.estimates(effort)) for effort in ("sized", "whole"))
    assert sized <= 25 < whole
