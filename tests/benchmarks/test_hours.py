"""Hours of a table without its data: what is counted, against counts by hand."""

import pytest
from benchmarks.hours import SIZES, counted_set, data_of, forward_operations, table_seconds

from wmdd.recipes import BENCHES
from wmdd.values import ModelSpec


def test_tables_are_about_their_data() -> None:
    found = {
        name: data_of(name) for name in BENCHES if name.startswith(("paper_main", "testbed")) and "smoke" not in name
    }
    assert found["paper_main"] == "imagenette"
    assert found["paper_main_tiny"] == "tiny"
    assert found["paper_main_imagenet1k"] == "imagenet1k"
    assert found["testbed_main"] == "cifar10"


def test_operations_of_a_network_by_hand() -> None:
    """One block of width 4 on 8 px: 3 x 3 convolution of 3 channels, then 4 x 4 x 4 features to 5 classes."""
    spec = ModelSpec(arch="convnet1_w4_bn", num_classes=5, channels=3, image_size=8, stem="small")
    assert forward_operations(spec) == pytest.approx(2 * (8 * 8 * 4 * 3 * 9 + 4 * 4 * 4 * 5))


def test_images_are_counted_and_never_read() -> None:
    images = counted_set("cifar10", "train", 25, 10, 32)
    assert images.labels.bincount().tolist() == [3] * 5 + [2] * 5
    with pytest.raises(NotImplementedError, match="only counted; got 2"):
        images.images.fetch([0, 1])


def test_hours_are_operations_at_a_rate() -> None:
    table = BENCHES["testbed_images"]()
    slow, unknown = table_seconds("testbed_images", table, 1.0)
    fast, _ = table_seconds("testbed_images", table, 10.0)
    assert unknown == []
    assert {part: fast[part] * 10 for part in fast} == pytest.approx(slow)
    spec = ModelSpec(arch="convnet3_w64_bn", num_classes=10, channels=3, image_size=32, stem="small")
    teacher = 3 * forward_operations(spec) * 30 * SIZES["cifar10"][1] / 1e12
    assert slow["teachers"] == pytest.approx(teacher)
