"""How an epoch is cut into batches: one rule for every loader, under which no batch is a single image.

`POINT` is a network whose last BatchNorm layers see maps of one pixel, so that it cannot take a single image.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from drawn import drawn_distilled, drawn_set, drawn_teacher
from memory_context import MemoryContext
from wmdd.context import stream
from wmdd.data.loading import batch_spans, shuffled
from wmdd.data.views import draw_views, epoch_views
from wmdd.errors import ConfigError
from wmdd.evaluation.protocols import PROTOCOLS
from wmdd.methods.catalogue import complete
from wmdd.methods.dc import DcSettings
from wmdd.methods.kits.gradients import match_gradients
from wmdd.methods.mtt import ExpertsSettings, MttSettings
from wmdd.methods.mtt.distill import mtt
from wmdd.methods.mtt.experts import experts
from wmdd.methods.scdd import PretrainingSettings, SelfSupervisedSettings
from wmdd.methods.scdd.selfsupervised import selfsupervised
from wmdd.models.batchnorm import takes_single_images
from wmdd.models.building import build_model
from wmdd.pipeline.plan import plan_run
from wmdd.product.reading import load
from wmdd.product.writing import write_product
from wmdd.settings import EvaluateSettings, RelabelSettings, SqueezeSettings, ViewSettings
from wmdd.stages.evaluate import evaluate
from wmdd.stages.relabel import relabel
from wmdd.stages.squeeze import squeeze
from wmdd.values import Views

POINT = "timm:test_efficientnet"
BATCH = 3


@pytest.mark.parametrize("batch", [1, 2, 3, 7, 10, 50])
@pytest.mark.parametrize("whole", [0, 1, 2, 5])
@pytest.mark.parametrize("rest", [0, 1, 2])
def test_a_remainder_of_one_joins_the_batch_before(batch: int, whole: int, rest: int) -> None:
    count = whole * batch + rest
    spans = batch_spans(count, batch)
    assert [row for span in spans for row in range(count)[span]] == list(range(count))
    sizes, usual = [span.stop - span.start for span in spans], [batch] * whole + [rest] * (rest > 0)
    if batch > 1 and whole and rest == 1:
        usual = [*usual[:-2], batch + 1]
    assert sizes == (usual if batch > 1 else [1] * count)


def test_batches_without_a_single_image_are_those_of_torch() -> None:
    for count, batch in ((12, 4), (14, 4), (3, 4), (1, 4)):
        usual = torch.randperm(count, generator=stream(1)).split(batch)
        cut = shuffled(count, batch, stream(1))
        assert len(cut) == len(usual)
        assert all(torch.equal(one, other) for one, other in zip(cut, usual, strict=True))


def test_dropping_the_last_leaves_out_a_single_image_too() -> None:
    assert [len(part) for part in shuffled(13, 4, stream(1), drop_last=True)] == [4, 4, 4]


def test_views_are_drawn_in_the_same_batches() -> None:
    settings = ViewSettings(crop_min=0.5, flip=True, cutmix=1.0)
    views = epoch_views(7, 3, 8, 8, settings, generator_for=lambda number: stream(2, number), shuffle=stream(1))
    order = torch.randperm(7, generator=stream(1))
    last = draw_views(order[3:], 8, 8, settings, stream(2, 1))
    assert all(torch.equal(getattr(views.rows(3, 7), name), getattr(last, name)) for name in Views.__slots__)


@pytest.mark.parametrize("classes", [4, 7])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_protocol_takes_one_image_more_than_its_batches(
    protocol: str, classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PROTOCOLS, protocol, replace(PROTOCOLS[protocol], batches=((10**9, BATCH),)))
    images = drawn_set(classes=classes, per_class=2)
    teacher, distilled = drawn_teacher(images, POINT), drawn_distilled(images, ipc=1)
    labels = relabel(distilled, (teacher,), RelabelSettings(), epochs=2, batch=BATCH)
    settings = EvaluateSettings(students=(POINT,), protocols=(protocol,), labels="both", seeds=1, epochs=2, tests=1)
    assert evaluate(distilled, (labels,), (teacher,), images, settings).scores


def test_eleven_classes_of_one_image_under_rded() -> None:
    images = drawn_set(classes=11, per_class=1)
    teacher, distilled = drawn_teacher(images, POINT), drawn_distilled(images, ipc=1)
    labels = relabel(distilled, (teacher,), RelabelSettings(), epochs=1, batch=10)
    settings = EvaluateSettings(students=(POINT,), protocols=("rded",), labels="soft", seeds=1, epochs=1, tests=1)
    assert evaluate(distilled, (labels,), (teacher,), images, settings).scores


def test_the_loader_replays_the_batches_that_labels_were_made_in(tmp_path: Path) -> None:
    images = drawn_set(classes=7, per_class=1)
    teacher, distilled = drawn_teacher(images, POINT), drawn_distilled(images, ipc=1)
    labels = relabel(distilled, (teacher,), RelabelSettings(), epochs=2, batch=BATCH)
    write_product(distilled, labels, tmp_path / "set", facts={})
    loader = load(tmp_path / "set").loader(BATCH)
    batches = list(loader)
    assert [len(shown) for shown, *_ in batches] == [3, 4, 3, 4]
    assert len(loader) == 4
    last = labels.epochs[0].views.rows(3, 7)
    assert set(last.partner.tolist()) == set(last.index.tolist())  # CutMix mixes the images of a batch
    model = build_model(teacher.spec).train()
    assert all(torch.isfinite(model(shown)).all() for shown, *_ in batches)


def dc() -> object:
    settings = DcSettings(arch=POINT, iterations=1, outer=2, inner=1, batch_real=2, batch_net=BATCH)
    images = drawn_set(classes=4, per_class=2)
    return match_gradients(images, drawn_teacher(images, POINT), settings, ipc=1)


def trajectories() -> object:
    images = drawn_set(classes=4, per_class=1)
    teacher = drawn_teacher(images)
    own = ExpertsSettings(arch="convnet1_w4", count=1, epochs=3, batch=BATCH)
    found = experts(images, teacher, own)
    settings = MttSettings(iterations=2, steps=3, span=1, start_max=2, batch=BATCH)
    return mtt(images, teacher, found, settings, ipc=1)


def without_labels() -> object:
    settings = PretrainingSettings(epochs=2, batch=BATCH, probe_epochs=2)
    own = SelfSupervisedSettings(arch=POINT, stem="small", seed=0, training=settings)
    images = drawn_set(classes=2, per_class=5)  # 10 = 3 · 3 + 1
    return selfsupervised(images, images, own)


def teacher() -> object:
    images = drawn_set(classes=2, per_class=5)
    return squeeze(images, images, SqueezeSettings(arch=POINT, epochs=2, batch=BATCH))


@pytest.mark.parametrize("stage", [dc, trajectories, without_labels, teacher])
def test_every_stage_that_trains_takes_one_image_more_than_its_batches(stage: Callable[[], object]) -> None:
    assert stage() is not None


@pytest.mark.parametrize(("arch", "single"), [(POINT, False), ("convnet2_w4_bn", True), ("convnet1_w4", True)])
def test_networks_that_take_a_single_image(arch: str, single: bool) -> None:
    images = drawn_set()
    spec = drawn_teacher(images, arch).spec
    assert takes_single_images(build_model(spec), spec) is single


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"squeeze.arch": POINT, "squeeze.batch": 1}, "got squeeze.batch 1; raise squeeze.batch"),
        ({"relabel.teachers": (POINT,), "squeeze.batch": 1}, "got squeeze.batch 1"),
        ({"method": "scdd", "squeeze.arch": POINT, "selfsupervised.batch": 1}, "got selfsupervised.batch 1"),
        ({"method": "gvbsm", "gvbsm.teachers": (POINT,), "squeeze.batch": 1}, "got squeeze.batch 1"),
        ({"method": "dc", "dc.arch": POINT, "dc.batch_net": 1}, "got dc.batch_net 1"),
        ({"evaluate": {"students": (POINT,), "full_data": True}, "squeeze.batch": 1}, "got squeeze.batch 1"),
    ],
)
def test_batches_of_one_image_are_refused_before_any_work(changes: dict[str, Any], message: str) -> None:
    recipe = complete({"method": "random", "ipc": 1, "squeeze.arch": "convnet1_w4_bn", **changes})
    with pytest.raises(ConfigError, match="cannot be trained on one image at a time") as caught:
        plan_run(recipe, drawn_set(), drawn_set(split="val"))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("protocol", ["wmdd", "fadrm"])
def test_a_set_of_a_single_image_is_refused_before_any_work(protocol: str) -> None:
    changes = {"evaluate.students": ("convnet1_w4",), "squeeze.arch": POINT, "evaluate.protocols": (protocol,)}
    recipe = complete({"method": "random", "ipc": 1, **changes})
    images, val = drawn_set(classes=1), drawn_set(classes=1, split="val")
    if protocol == "wmdd":
        plan_run(recipe, images, val)  # no BatchNorm
        recipe = recipe.with_settings({"evaluate.students": (POINT,)})
    with pytest.raises(ConfigError, match="got one image in all; raise --ipc"):
        plan_run(recipe, images, val)


def test_batches_of_one_image_are_allowed_where_a_network_takes_them() -> None:
    recipe = complete({"method": "random", "ipc": 1, "squeeze.arch": "convnet1_w4_bn", "squeeze.batch": 1})
    plan_run(recipe, drawn_set(), drawn_set(split="val"))
    ctx = MemoryContext()
    squeeze(drawn_set(per_class=2), drawn_set(per_class=1), recipe.squeeze.with_(epochs=1), ctx=ctx)
