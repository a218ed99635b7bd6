"""Lines of the table: known answers on made-up scores."""

from collections.abc import Sequence
from typing import Any

import pytest
from benchmarks.search.state import RungState, tables
from benchmarks.search.table import draw
from benchmarks.search.variants import Predicted, Variant

SCORE = {"student": "net", "protocol": "wmdd", "labels": "soft", "fingerprint": "f", "labelled_by": "t", "seed": 0}


def cell(row: str, seed: int, top1: float, *, ceiling: float | None = None, **changes: Any) -> dict[str, Any]:
    score = {**SCORE, "set": row, "ipc": 10, "distill_seed": seed, "images": f"{row} {seed}", **changes, "top1": top1}
    beside = [] if ceiling is None else [{**score, "set": "all real images", "images": "", "top1": ceiling}]
    facts = {"row": row, "method": row, "ipc": 10, "seed": seed, "state": "finished", "error": "", "folder": ""}
    costs = {"seconds": {"recover": 7.0, "evaluate": 99.0}, "memory": {}, "bytes": {}, "warnings": []}
    return {**facts, "scores": [score], "beside": beside, **costs}


def state(rows: dict[str, Sequence[float]], *, rung: int = 1, others: Sequence[dict[str, Any]] = ()) -> RungState:
    """Return a rung with one student of each set; a ceiling of 80, 81, 82 stands beside random images."""
    made = [
        cell(row, seed, top1, ceiling=80.0 + seed if row == "random" else None)
        for row, values in rows.items()
        for seed, top1 in enumerate(values)
    ]
    names = [name for name in rows if name not in ("random", "wmdd")]
    variant = Variant(idea="an idea", predicted=Predicted(soft=1, hard=2), settings={"recover.lr": 0.1})
    bench = {
        "data": {"name": "pictures", "val": 5000},
        "teacher": {"top1": 78.0},
        "rows": [{"name": name} for name in rows],
        "ipcs": [10],
        "run": {"commit": "abc"},
        "cells": [*made, *others],
    }
    common = {"data": "pictures", "recipe": "testbed", "base": {}, "twins": {}}
    return RungState(rung=rung, variants=dict.fromkeys(names, variant), bench=bench, **common)


def lines(*states: RungState) -> dict[str, dict[str, str]]:
    cells = [
        [part.strip() for part in line.strip("|").split("|")] for line in draw(states).splitlines() if line[:1] == "|"
    ]
    return {row[0]: dict(zip(cells[0], row, strict=True)) for row in cells[2:]}


PANEL = "IPC 10, wmdd, soft"
FLOOR = {"random": [50.0, 51.0, 52.0], "wmdd": [60.0, 61.0, 62.0]}


def test_gain_error_share_and_cost() -> None:
    # Gains 2, 3, 4: mean 3, standard error 1/√3; the room above random images is 30 in each pair.
    found = lines(state({**FLOOR, "mine": [62.0, 64.0, 66.0]}))
    assert found["mine"][PANEL] == "+3.0 ± 0.6 (0.43)"
    assert found["mine"]["differs from WMDD"] == "IPC 10, wmdd, soft +"
    assert found["mine"]["seconds a set"] == "7"
    assert found["mine"]["sets × students"] == "3 × 1"
    assert found["wmdd"][PANEL] == "61.0 ± 1.0 (0.33)"
    assert found["random"][PANEL] == "−10.0 ± 0.0"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([61.0, 62.0, 66.0], "–"),  # +1, +1, +4: 2 ± 1, no more than two errors
        ([61.0, 62.0, 65.5], "IPC 10, wmdd, soft +"),  # +1, +1, +3.5: 1.83 ± 0.83
        ([59.0, 59.9, 61.0], "IPC 10, wmdd, soft −"),
        ([65.0, 66.0], "fewer than 3 sets"),
        ([65.0], "fewer than 3 sets"),
    ],
)
def test_a_difference_counts_beyond_two_errors_over_three_sets(values: list[float], said: str) -> None:
    assert lines(state({**FLOOR, "mine": values}))["mine"]["differs from WMDD"] == said


def test_a_row_under_other_labels_has_no_gain() -> None:
    other = cell("mine", 0, 70.0, labelled_by="others")
    assert "mine" not in lines(state(FLOOR, others=[other]))


def test_the_last_rung_of_a_variant_counts() -> None:
    first = state({**FLOOR, "mine": [70.0], "gone": [59.0]})
    found = lines(first, state({**FLOOR, "mine": [61.0, 62.0, 63.0]}, rung=2))
    assert list(found) == ["mine", "wmdd", "random", "gone"]
    assert (found["mine"]["rung"], found["gone"]["rung"]) == ("2", "1")
    assert found["mine"][PANEL] == "+1.0 ± 0.0 (0.37)"
    assert found["gone"][PANEL] == "−1.0"  # a single student: no error is known, so no share either


def test_rank_correlation_of_rungs() -> None:
    low = {f"v{place}": [top1] for place, top1 in enumerate((10.0, 20.0, 30.0, 40.0, 50.0))}
    high = {f"v{place}": [top1] for place, top1 in enumerate((10.0, 30.0, 20.0, 40.0, 50.0))}
    rungs = [state({"random": [1.0], "wmdd": [2.0], **rows}, rung=rung) for rung, rows in ((1, low), (2, high))]
    text = draw(rungs)
    assert "soft labels 0.90 (" in text  # 1 - 6 · 2 / (5 · 24)
    assert "5 variants), hard labels – (0 variants)" in text


def test_blocks_are_those_of_wmdd() -> None:
    found = tables(state({**FLOOR, "mine": [62.0, 64.0, 66.0], "unfinished": [70.0, 71.0]}))
    assert found == {"soft": {"mine": [62.0, 64.0, 66.0]}, "hard": {}}
