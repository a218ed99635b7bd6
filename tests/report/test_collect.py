"""Rows to curves: torn lines, repeated steps, several units."""

import math
from typing import Any

from wmdd.report.collect import POINTS, barycenter_plot, curves, mean_series, parse_log


def row(stage: str, **fields: Any) -> dict[str, Any]:
    return {"stage": stage, **fields}


def test_torn_lines_are_counted_wherever_they_stand() -> None:
    log = parse_log(
        b'{"stage": "squeeze", "epoch": 1}\n{"stage": "sq{"stage": "squeeze"}\n\n[1]\n{"no": 1}\n{"stage": "rec'
    )
    assert [r["stage"] for r in log.rows] == ["squeeze"]
    assert log.skipped == 4


def test_no_line_of_a_log_is_too_strange() -> None:
    lines = [
        b"[" * 5000,
        b"\xff\xfe",
        b'{"stage": 1e999}',
        b'{"stage": "a", "step": ' + b"9" * 5000 + b"}",
        b"\0",
        b"null",
    ]
    log = parse_log(b"\n".join([*lines, b'{"stage": "squeeze", "unit": [], "epoch": {}, "loss": "x", "top1": 1e308}']))
    assert curves(log.rows) == []
    assert len(log.rows) + log.skipped == len(lines) + 1


def test_mean_and_band_over_units() -> None:
    line = mean_series("loss", {"a": {0.0: 1.0, 1.0: 3.0}, "b": {0.0: 3.0, 1.0: 5.0, 2.0: 7.0}})
    assert line.x == (0, 1, 2)
    assert line.y == (2, 4, 7)
    assert (line.low, line.high) == ((1, 3, 7), (3, 5, 7))


def test_one_unit_has_no_band() -> None:
    assert mean_series("loss", {"": {0.0: 1.0}}).low == ()


def test_thinning_keeps_both_ends() -> None:
    line = mean_series("loss", {"": {float(x): 1.0 for x in range(10_000)}})
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
    (plot,) = curves([row("recover", step=s, loss=1.0, feature_loss=1.0, bn_loss=0.0) for s in range(3)], "wmdd")
    assert [series.name for series in plot.series] == ["total", "feature term"]
    assert plot.log


def test_students_get_a_panel_a_setting_with_random_last() -> None:
    names = ["random resnet18 wmdd seed 0", "wmdd resnet18 wmdd seed 0", "wmdd resnet18 wmdd seed 1",
             "wmdd convnet3 rded seed 0", "wmdd"]  # fmt: skip
    plots = curves(row("evaluate", unit=name, epoch=epoch, top1=50.0) for name in names for epoch in (1, 2))
    assert [plot.title for plot in plots] == ["Students: resnet18, wmdd", "Students: convnet3, rded", "Students"]
    assert [(s.name, s.units, s.baseline) for s in plots[0].series] == [
        ("WMDD", 2, False),
        ("random real images", 1, True),
    ]


def test_students_of_references_and_of_hard_labels_are_told_apart() -> None:
    names = [f"{of} resnet18 wmdd seed {seed}{hard}" for of in ("random", "all real images", "random ×3", "wmdd")
             for seed in (0, 1) for hard in ("", " hard")]  # fmt: skip
    plots = curves(row("evaluate", unit=name, epoch=epoch, top1=50.0) for name in names for epoch in (1, 2))
    assert [plot.title for plot in plots] == ["Students: resnet18, wmdd", "Students: resnet18, wmdd, hard"]
    for plot in plots:
        assert [(series.name, series.units) for series in plot.series] == [
            ("WMDD", 2),
            ("random real images", 2),
            ("all real images, same steps", 2),
            ("random real images ×3", 2),
        ]


def test_students_without_accuracies_show_their_loss() -> None:
    (plot,) = curves([row("evaluate", unit="wmdd resnet18 wmdd seed 0", epoch=e, loss=0.5) for e in (1, 2)])
    assert (plot.y_label, plot.log) == ("loss", True)


def test_rows_without_any_position_are_counted() -> None:
    (plot,) = curves([row("squeeze", loss=2.0), row("squeeze", loss=1.0), row("squeeze", loss=math.nan)])
    assert (plot.x_label, plot.series[0].x) == ("row", (0, 1))


def test_what_is_no_loss_or_no_curve_is_ignored() -> None:
    single = [row("rded", unit=f"class {k}", loss=1.0, loss_of_all=2.0) for k in range(3)]
    assert curves([row("dance", loss=1.0), row("recover", unit="x", speed=3), *single]) == []
    assert curves([row("diagnose", step=s, loss=1.0, loss_gap=1.0) for s in range(3)]) == []


def test_the_losses_of_a_stage_that_nobody_knows_are_drawn() -> None:
    rows = [row('my "stage"', unit="images", step=s, loss=2.0, speed=1.0, hinge_loss=1.0) for s in range(3)]
    (plot,) = curves(rows, "mine")
    assert [series.name for series in plot.series] == ["loss", "hinge_loss"]
    assert (plot.x_label, plot.log, plot.key) == ("step", True, "my--stage-")


def test_losses_below_zero_are_not_lost() -> None:
    (plot,) = curves([row("mine", unit="images", step=s, loss=-float(s)) for s in range(3)])
    assert (plot.series[0].y, plot.log, plot.note) == ((0, -1, -2), False, "Loss of the images.")


def test_experts_are_averaged() -> None:
    rows = [row("experts", unit=f"expert-{k:05d}", epoch=e, loss=k + 1.0) for k in range(3) for e in (1, 2)]
    plot, _ = curves([*rows, *(row("mtt", unit="images", step=s, loss=0.5) for s in (1, 2))], "mtt")
    assert (plot.title, plot.x_label) == ("Expert loss", "epoch")
    assert plot.note == "Real images, logarithmic scale, mean over 3 networks."
    assert [(line.name, line.y, line.units) for line in plot.series] == [("in training", (2, 2), 3)]


def test_units_that_measure_different_things_are_drawn_apart() -> None:
    names = ("backbone without labels", "last layer")
    rows = [row("selfsupervised", unit=name, epoch=e, loss=1.0) for name in names for e in (1, 2)]
    plots = curves([*rows, row("selfsupervised", unit="teacher", top1=99.0)])
    assert [plot.title for plot in plots] == ["Backbone without labels loss", "Last layer loss"]
    assert len({plot.key for plot in plots}) == 2


def test_groups_of_classes_are_averaged() -> None:
    units = ("classes 0 to 7", "classes 8 to 9", "classes 0 to 7, from image 1")
    (plot,) = curves(
        [row("invert", unit=unit, step=s, loss=1.0, bn_loss=1.0) for unit in units for s in (1, 2)], "sre2l"
    )
    assert plot.title == "Recovery losses"
    assert plot.note == "Loss of the images, logarithmic scale, mean over 3 groups of classes."
    assert [line.name for line in plot.series] == ["total", "BatchNorm term"]


def test_barycenter_mean_keeps_the_last_cost_of_a_class_that_stopped() -> None:
    plot = barycenter_plot({"traces": [[4.0, 2.0, 1.0], [8.0, 6.0], []], "best_known_mean": 3.0})
    assert plot is not None
    assert plot.series[0].y == (6.0, 4.0, 3.5)
    assert plot.level is not None
    assert plot.level[1] == 3.0
    assert "2 classes" in plot.note


def test_no_traces_no_plot() -> None:
    assert barycenter_plot({"cost_mean": 1.0}) is None
