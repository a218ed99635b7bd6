"""Rows to curves: torn lines, repeated steps, several units."""

import math
from typing import Any

import pytest

from wmdd.report.collect import POINTS, barycenter_plot, curves, merged, number, parse_log


def row(stage: str, **fields: Any) -> dict[str, Any]:
    return {"stage": stage, **fields}


@pytest.mark.parametrize("value", [None, "3", True, math.nan, math.inf, [1]])
def test_number_refuses_what_is_no_finite_number(value: object) -> None:
    assert number(value) is None


def test_number_takes_integers_and_floats() -> None:
    assert (number(3), number(2.5)) == (3.0, 2.5)


def test_torn_lines_are_counted_wherever_they_stand() -> None:
    log = parse_log(
        '{"stage": "squeeze", "epoch": 1}\n{"stage": "sq{"stage": "squeeze"}\n\n[1]\n{"no": 1}\n{"stage": "rec'
    )
    assert [r["stage"] for r in log.rows] == ["squeeze"]
    assert log.skipped == 4


def test_mean_and_band_over_units() -> None:
    line = merged("loss", {"a": {0.0: 1.0, 1.0: 3.0}, "b": {0.0: 3.0, 1.0: 5.0, 2.0: 7.0}})
    assert line.x == (0, 1, 2)
    assert line.y == (2, 4, 7)
    assert (line.low, line.high) == ((1, 3, 7), (3, 5, 7))


def test_one_unit_has_no_band() -> None:
    assert merged("loss", {"": {0.0: 1.0}}).low == ()


def test_thinning_keeps_both_ends() -> None:
    line = merged("loss", {"": {float(x): 1.0 for x in range(10_000)}})
    assert len(line.x) <= POINTS + 1
    assert (line.x[0], line.x[-1]) == (0, 9999)


def test_of_a_repeated_step_the_last_row_counts() -> None:
    steps = ((0, 8.0), (5, 9.0), (0, 7.0), (5, 2.0))
    (plot,) = curves([row("recover", unit="class 0", step=step, loss=loss) for step, loss in steps])
    assert plot.series[0].y == (7.0, 2.0)


def test_a_closing_figure_is_no_point_of_a_curve() -> None:
    rows = [row("squeeze", epoch=e, top1=50.0 + e) for e in range(3)]
    (plot,) = curves([*rows, row("squeeze", unit="teacher", top1=99.0)])
    assert plot.series[0].y == (50, 51, 52)
    assert curves([row("squeeze", unit="teacher", top1=99.0)]) == []


def test_recovery_leaves_out_terms_that_are_always_zero() -> None:
    (plot,) = curves([row("recover", step=s, loss=1.0, feature_loss=1.0, bn_loss=0.0) for s in range(3)])
    assert [series.name for series in plot.series] == ["total", "feature term"]
    assert plot.log


def test_students_get_a_panel_a_setting_with_random_last() -> None:
    names = ["random resnet18 wmdd seed 0", "wmdd resnet18 wmdd seed 0", "wmdd resnet18 wmdd seed 1",
             "wmdd convnet3 rded seed 0", "wmdd"]  # fmt: skip
    plots = curves(row("evaluate", unit=name, epoch=epoch, top1=50.0) for name in names for epoch in (1, 2))
    assert [plot.title for plot in plots] == ["Students: resnet18, wmdd", "Students: convnet3, rded", "Students"]
    assert [(s.name, s.units, s.reference) for s in plots[0].series] == [
        ("WMDD", 2, False),
        ("random real images", 1, True),
    ]


def test_students_without_accuracies_show_their_loss() -> None:
    (plot,) = curves([row("evaluate", unit="wmdd resnet18 wmdd seed 0", epoch=e, loss=0.5) for e in (1, 2)])
    assert (plot.y_label, plot.log) == ("loss", True)


def test_rows_without_any_position_are_counted() -> None:
    (plot,) = curves([row("squeeze", loss=2.0), row("squeeze", loss=1.0), row("squeeze", loss=math.nan)])
    assert (plot.x_label, plot.series[0].x) == ("row", (0, 1))


def test_unknown_stages_and_fields_are_ignored() -> None:
    assert curves([row("dance", loss=1.0), row("recover", unit="x", speed=3)]) == []


def test_barycenter_mean_keeps_the_last_cost_of_a_class_that_stopped() -> None:
    plot = barycenter_plot({"traces": [[4.0, 2.0, 1.0], [8.0, 6.0], []], "floor_mean": 3.0})
    assert plot is not None
    assert plot.series[0].y == (6.0, 4.0, 3.5)
    assert plot.level is not None
    assert plot.level[1] == 3.0
    assert "2 classes" in plot.note


def test_no_traces_no_plot() -> None:
    assert barycenter_plot({"cost_mean": 1.0}) is None
