"""The diagnosis as the page shows it: rows, and classes in the order of the cost of k-means."""

import pytest
from run_folders import make_diagnosis

from wmdd.report.collect import POINTS, Plot
from wmdd.report.distances import NAMED, class_costs, feature_distances, three_digits
from wmdd.report.figures import alternative, draw


def plotted(classes: int = 3, names: tuple[str, ...] = ("low", "middle", "high")) -> Plot:
    found = class_costs({"random": make_diagnosis(30.0, classes), "wmdd": make_diagnosis(20.0, classes)}, names)
    assert found is not None
    return found


def test_random_images_come_last_and_what_was_not_measured_is_none() -> None:
    ours, random = feature_distances({"random": make_diagnosis(30.0), "wmdd": make_diagnosis(20.0, bounds=False)})
    assert (ours.set, ours.cost, ours.ratio, ours.loss_gap) == ("wmdd", 20.0, 1.25, None)
    assert (random.set, random.head_gap, random.head_bound) == ("random", 1.5, 17.5)


def test_no_ratio_to_a_cost_of_zero() -> None:
    diagnosis = make_diagnosis(0.0)
    diagnosis["mean"]["kmeans_cost"] = 0.0
    assert feature_distances({"wmdd": diagnosis})[0].ratio is None
    assert feature_distances({"wmdd": {}})[0].cost is None


def test_classes_stand_in_the_order_of_the_cost_of_k_means() -> None:
    diagnosis = make_diagnosis(20.0, 3)
    diagnosis["classes"]["kmeans_cost"] = [5.0, 9.0, 1.0]
    plot = class_costs({"wmdd": diagnosis}, ["a", "b", "a name that is too long"])
    assert plot is not None
    assert plot.tick_labels == ("a name that i…", "a", "b")
    assert [series.y for series in plot.series] == [(22.0, 20.0, 21.0), (34.0, 32.0, 33.0), (1.0, 5.0, 9.0)]
    assert plot.series[1].low == (34.0 - 4.0, 32.0 - 2.0, 33.0 - 3.0)
    assert plot.series[1].high == (38.0, 34.0, 36.0)


def test_each_set_is_a_line_and_random_images_are_the_baseline() -> None:
    assert [(series.name, series.baseline) for series in plotted().series] == [
        ("WMDD", False),
        ("random real images", True),
        ("random picks, mean and deviation", False),
        ("k-means", False),
    ]


def test_few_classes_are_named_and_many_are_ranks() -> None:
    svg = draw(plotted()).svg
    assert all(f">{name}</text>" in svg for name in ("low", "middle", "high"))
    assert "WMDD from 20 at class low to 22 at class high" in alternative(plotted())
    assert draw(plotted(names=("1", "2", "3"))).svg.count("rotate(-35") == 0
    many = plotted(NAMED + 1)
    assert (many.tick_labels, many.x_label) == ((), "rank of the class by the cost of k-means")


def test_very_many_classes_are_thinned_and_keep_their_ranks() -> None:
    line = plotted(10 * POINTS).series[-1]
    assert len(line.x) == POINTS
    assert line.x[1] == 10.0


@pytest.mark.parametrize("diagnosis", [{}, {"wmdd": {}}, {"wmdd": make_diagnosis(20.0, 1)}])
def test_no_plot_of_fewer_than_two_classes(diagnosis: dict[str, object]) -> None:
    assert class_costs(diagnosis, ()) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, "0.00"),
        (0.014364, "0.0144"),
        (16.02, "16.0"),
        (123.4, "123"),
        (999.7, "1,000"),
        (1e6, "1,000,000"),
    ],
)
def test_amounts_have_three_digits(value: float | None, text: str) -> None:
    assert three_digits(value) == text


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("二十四個字符的類名太長", "二十四個字符…"),
        ("🦊" * 7, "🦊" * 7),
        ("a\x01\udcff", "a\ufffd\ufffd"),
        ("", ""),
    ],
)
def test_any_class_name_has_a_label_that_can_be_drawn(name: str, label: str) -> None:
    assert plotted(names=(name, "b", "c")).tick_labels[0] == label
    draw(plotted(names=(name, "b", "c")))
