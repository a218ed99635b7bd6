"""What is printed of records: what they hold, not every number."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from drawn import drawn_distilled, drawn_set, drawn_teacher
from plain_views import full_views
from wmdd.pipeline.run import Run
from wmdd.product.reading import load
from wmdd.product.writing import write_product
from wmdd.values import (
    Barycenters,
    ClassStatistics,
    Diagnosis,
    EpochLabels,
    LayerStatistics,
    LazyEpochs,
    ModelSpec,
    SoftLabels,
    TrainingDynamics,
    Trajectories,
)

LARGE = torch.rand(200, 300)
EPOCH = EpochLabels(views=full_views(torch.arange(200), 8), logits=LARGE)
LABELS = SoftLabels(
    store="full", batch=4, temperature=20.0, num_classes=300, epochs=LazyEpochs(300, lambda _: EPOCH), plain=LARGE,
    num_bytes=1,
)  # fmt: skip
SPEC = ModelSpec(arch="resnet18", num_classes=3, channels=3, image_size=8, stem="small")
RECORDS = (
    EPOCH,
    EPOCH.views,
    LABELS,
    drawn_set(classes=40),
    drawn_teacher(drawn_set()),
    ClassStatistics(
        features=LARGE, counts=(1,) * 200, layers=("bn",) * 90, widths=(1,) * 300, means=LARGE, variances=LARGE
    ),
    LayerStatistics(layers=("a",) * 99, kinds=("channels",) * 99, widths=(2,) * 99, means=LARGE, variances=LARGE),
    Barycenters(
        atoms=LARGE, weights=LARGE, costs=LARGE, best_known=LARGE, traces=((1.0,) * 50,) * 200, converged=(True,) * 200
    ),
    Diagnosis(
        set="wmdd",
        **dict.fromkeys(("costs", "kmeans_costs", "random_costs", "random_stds", "distances", "uniforms"), LARGE),
    ),
    Trajectories(spec=SPEC, parameters=LARGE),
    TrainingDynamics(labels=torch.arange(300), answers=LARGE[:, None].expand(-1, 2, -1)),
    Run(out=Path("runs/x"), metrics={str(k): [k] * 100 for k in range(12)}),
)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_records_are_short(record: object) -> None:
    shown = repr(record)
    assert shown.startswith(type(record).__name__ + "(")
    assert len(shown) < 600
    assert "tensor" not in shown
    assert "\n" not in shown


def test_sets_say_what_they_are(tmp_path: Path) -> None:
    small = drawn_distilled(drawn_set())
    small = replace(small, exact=small.images.float())
    words = ("DistilledSet(method='drawn'", "6 images of 3 classes", "ipc=2", "side=8", "channels=3", "dtype=uint8")
    assert all(word in repr(small) for word in (*words, "with exact"))
    write_product(small, None, tmp_path / "set", facts={})
    shown = repr(load(tmp_path / "set"))
    assert all(word in shown for word in (*words[1:], "PortableSet(", "soft labels of 0 epochs", str(tmp_path)))
    assert len(shown) < 400


def test_tensors_and_tuples_show_their_sizes() -> None:
    shown = repr(RECORDS[5])
    assert "features=<float32 (200, 300)>" in shown
    assert "counts=(1, 1, 1, 1, ... 200 in all)" in shown
    assert "epochs=<LazyEpochs of 300>" in repr(LABELS)
