"""A run is resolved once: what follows from its settings and data, and what is wrong with them."""

from dataclasses import replace
from typing import Any

import pytest

from wmdd.errors import ConfigError, WmddError
from wmdd.evaluation.protocol_names import find_protocol
from wmdd.methods.algorithm import load_algorithm
from wmdd.methods.catalogue import complete, find_method
from wmdd.pipeline.plan import Labelling, labelled, plan_run
from wmdd.values import ImageSet

SMALL: dict[str, Any] = {"method": "random", "ipc": 2, "squeeze.arch": "convnet1_w4_bn"}


@pytest.mark.parametrize(
    ("protocols", "names", "expected"),
    [
        (("wmdd",), ["wmdd"], 300),
        (("rd3", "dc", "sre2l", "wmdd"), ["sre2l", "wmdd"], 300),
        (("rded", "rd3"), ["rded", "rd3"], 400),
        (("hard", "rded"), ["rded"], 300),
        (("hard", "dc", "own", "kernel"), [], 0),
    ],
)
def test_labels_are_stored_for_those_who_need_them(
    image_set: ImageSet, val_set: ImageSet, protocols: Any, names: list[str], expected: int
) -> None:
    assert [each.name for each in labelled([find_protocol(name) for name in protocols])] == names
    recipe = complete({**SMALL, "evaluate.protocols": protocols})
    assert plan_run(recipe, image_set, val_set).labelling[0].epochs == expected
    shorter = plan_run(recipe.with_settings({"evaluate.epochs": 7}), image_set, val_set)
    assert shorter.labelling[0].epochs == (7 if expected else 0)
    smaller = plan_run(recipe.with_settings({"evaluate.batch": 4}), image_set, val_set)
    assert [each.batch for each in smaller.labelling] == [4]


@pytest.mark.parametrize(("asked", "made"), [(13, 12), (12, 12), (2, 2)])
def test_a_small_class_lowers_ipc_where_that_is_wanted(
    asked: int, made: int, image_set: ImageSet, val_set: ImageSet
) -> None:
    plan = plan_run(complete({**SMALL, "ipc": asked, "ipc_at_most": True}), image_set, val_set)
    assert plan.recipe.ipc == made
    assert [(each.kind, each.count) for each in plan.train.warnings] == ([("fewer images", 1)] if made < asked else [])


def test_a_plan_holds_all_that_follows_from_settings_and_data(image_set: ImageSet, val_set: ImageSet) -> None:
    changes = {
        "method": "gvbsm",
        "gvbsm.teachers": ("convnet1_w8_bn",),
        "relabel.teachers": ("convnet1_w2",),
        "evaluate": {"students": ("convnet1",), "protocols": ("dc", "rded")},
    }
    recipe = complete({**SMALL, **changes})
    plan = plan_run(recipe, image_set, val_set)
    assert plan.method.name == "gvbsm"
    assert [each.method.name for each in plan.references] == ["random", "k-medoids"]
    assert plan.references[0].algorithm is load_algorithm(find_method("random"))
    assert plan.ceiling
    assert [each.name for each in plan.protocols] == ["dc", "rded"]
    assert plan.labelling == (Labelling(epochs=300, batch=6),)  # of rded: dc asks no teacher; no more than 3 x 2 images
    assert set(plan.networks) == {"convnet1_w4_bn", "convnet1_w8_bn", "convnet1_w2", "convnet1"}
    assert {(spec.num_classes, spec.channels, spec.image_size) for spec in plan.networks.values()} == {(3, 3, 8)}
    assert [work.arch for work in plan.work.teachers] == ["convnet1_w4_bn", "convnet1_w8_bn", "convnet1_w2"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ipc": 13}, "got ipc 13"),
        ({"method": "randm"}, "did you mean 'random'"),
        ({"evaluate.protocols": ("wmd",)}, "protocol"),
        ({"evaluate.students": ("resnet81",)}, "unknown network 'resnet81'"),
        ({"relabel.teachers": ("resnet81",)}, "unknown network 'resnet81'"),
        ({"squeeze.arch": "resnet81"}, "unknown network 'resnet81'"),
        ({"method": "wmdd", "squeeze.arch": "convnet1_w4"}, "BatchNorm"),
        ({"squeeze.checkpoint": "no/such.pt"}, "no/such.pt"),
        ({"squeeze.mean": (0.5, 0.5), "squeeze.std": (0.5, 0.5)}, "a value for each channel; got 2 and 2 for 3"),
    ],
)
def test_mistakes_are_found_before_any_work(
    image_set: ImageSet, val_set: ImageSet, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(WmddError) as caught:
        plan_run(complete({**SMALL, **changes}), image_set, val_set)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"method": "kip", "kip.kernel": "convnet4"},
            "4 blocks needs images of 16 pixels and more; got 8",
        ),
        ({"method": "ls", "ls.kernel": "convnet1"}, "got 32 GB at 128 pixels; set data.image_size to 90 or lower"),
        ({"method": "ls", "ls.zca": "pixels"}, "ZCA is for images of at most 4096 numbers; got 49152"),
        ({"method": "mtt", "experts.zca": "pixels"}, "ZCA is for images of at most 4096 numbers; got 49152"),
        ({"evaluate.protocols": ("kernel_conv",)}, "got 32 GB at 128 pixels"),
    ],
)
def test_images_that_do_not_suit_a_kernel_or_a_whitening_are_refused_before_anything_runs(
    changes: dict[str, Any], said: str, image_set: ImageSet, val_set: ImageSet
) -> None:
    side = 8 if "got 8" in said else 128
    train, val = (replace(images, canvas=side, image_size=side) for images in (image_set, val_set))
    with pytest.raises(ConfigError, match=said):
        plan_run(complete({**SMALL, **changes}), train, val)
