"""Methods that invert statistics: which settings they fix, who their teachers are, and whole runs of the odd ones."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wmdd.artifacts.folder import Store
from wmdd.errors import ConfigError
from wmdd.methods.algorithm import load_algorithm
from wmdd.methods.catalogue import complete, find_method
from wmdd.pipeline.plan import plan_run
from wmdd.pipeline.run import run_stages
from wmdd.pipeline.runner import GivenResult, Runner
from wmdd.pipeline.set_evaluation import labelling_teachers
from wmdd.pipeline.watchers import Watcher
from wmdd.recipes import find_recipe
from wmdd.settings import InversionSettings, KernelSettings
from wmdd.values import ImageSet

TINY: dict[str, Any] = {
    "ipc": 2,
    "device": "cpu",
    "precision": "fp32",
    "squeeze": {"epochs": 1, "batch": 12, "arch": "convnet1_w8_bn"},
    "gvbsm": {"iterations": 4, "teachers": ("convnet1_w4_bn", "convnet2_w4_bn")},
    "selfsupervised": {"epochs": 2, "batch": 12, "probe_epochs": 5, "projection": 8},
    "scdd": {"iterations": 4},
    "evaluate": {"students": ("convnet1_w8_bn",), "epochs": 2, "seeds": 1, "labels": "soft", "references": ("random",)},
}


class Asked:
    """Stages that only note the settings they were asked with; a result's key tells what it was made from."""

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}
        self.archs: list[str] = []

    def run(self, stage: Any, *inputs: Any, settings: Any, of: str = "", **facts: Any) -> GivenResult:  # noqa: ARG002
        del inputs, facts
        self.settings[stage.name] = settings
        arch = getattr(settings, "arch", "")
        self.archs += [arch] if arch else []
        return GivenResult(key=f"{stage.name}({arch})", record=arch)


def asked(method: str, **settings: Any) -> Any:
    """Return the settings with which a method asks for its images."""
    stages = Asked()
    train, teacher = (GivenResult(key=key, record=None) for key in ("train", "teacher"))
    recipe = complete({}, {"method": method, **settings})
    load_algorithm(find_method(method)).distill(stages, train, (teacher,), recipe)  # pyright: ignore[reportArgumentType]
    return stages.settings.get("invert") or stages.settings[method]


PUBLISHED = {
    "form": "reference",
    "bn": "running",
    "bn_weight": 0.01,
    "bn_first": 10.0,
    "lr": 0.25,
    "roll": 32,
    "crop_min": 0.08,
    "flip": True,
    "batch": 100,
    "start": "noise",
}
"""SRe2L's script for ImageNet-1K, which CDA's and SC-DD's share."""


@pytest.mark.parametrize(("method", "steps", "curriculum"), [
    ("sre2l", 4000, "none"), ("cda", 4000, "cosine"), ("scdd", 1000, "none"),
])  # fmt: skip
def test_the_family_of_sre2l_is_as_published_unless_told_otherwise(method: str, steps: int, curriculum: str) -> None:
    found = asked(method)
    assert {name: getattr(found, name) for name in PUBLISHED} == PUBLISHED
    assert (found.feature_loss, found.iterations, found.curriculum) == ("cross_entropy", steps, curriculum)
    assert asked(method, **{f"{method}.bn": "per_class", f"{method}.lr": 0.07}).lr == 0.07


@pytest.mark.parametrize(("recipe", "changed"), [
    ("imagenette", {}),
    ("imagenet1k", {}),
    ("tiny-imagenet", {"lr": 0.1, "bn_weight": 1.0, "roll": 4}),
    ("testbed", {"iterations": 1000, "roll": 4, "crop_min": 1.0, "flip": False}),
])  # fmt: skip
def test_a_recipes_settings_of_wmdd_do_not_reach_the_published_methods(recipe: str, changed: dict[str, Any]) -> None:
    found = complete({**find_recipe(recipe), "method": "sre2l"}).of(InversionSettings)
    assert found.counted() == changed


def test_inversion_has_sre2ls_terms_in_wmdds_form_under_wmdds_settings() -> None:
    found = asked("inversion", recover={"lr": 0.07, "bn_weight": 1.0})
    assert found == KernelSettings(lr=0.07, bn_weight=1.0, bn="global", feature_loss="cross_entropy")
    assert asked("inversion", recover={"bn": "per_class", "curriculum": "step"}).curriculum == "step"


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_mmd_changes_the_feature_loss_alone(kernel: str) -> None:
    changes = {"recover.bn_weight": 3.0, "mmd.kernel": kernel}
    wanted = KernelSettings(bn_weight=3.0, feature_loss="mmd_rbf" if kernel == "rbf" else "mmd_linear")
    assert asked("mmd", **changes) == wanted


def test_gvbsm_has_each_network_squeezed_once_the_teacher_first() -> None:
    stages = Asked()
    recipe = complete(
        {
            "method": "gvbsm",
            "squeeze": {"arch": "convnet3_bn", "checkpoint": "here.pt"},
            "gvbsm.teachers": ("resnet18", "convnet3_bn", "resnet18"),
        }
    )
    train, val = (GivenResult(key=key, record=None) for key in ("train", "val"))
    teachers = load_algorithm(find_method("gvbsm")).teach(stages, train, val, recipe)
    assert stages.archs == ["convnet3_bn", "resnet18"]
    assert stages.settings["squeeze"].checkpoint is None
    assert [each.record for each in teachers] == ["convnet3_bn", "resnet18"]
    assert find_method("gvbsm").network_names(recipe) == ("resnet18", "convnet3_bn", "resnet18")


@pytest.mark.parametrize("given", [{"squeeze.checkpoint": "x.pt"}, {"squeeze.pretrained": True}])
def test_scdd_refuses_a_teacher_that_was_given(given: dict[str, Any]) -> None:
    nothing = GivenResult(key="t", record=None)
    with pytest.raises(ConfigError, match="without labels; got squeeze"):
        load_algorithm(find_method("scdd")).teach(Asked(), nothing, nothing, complete({**given, "method": "scdd"}))


def test_a_methods_teachers_and_those_of_relabel_label_each_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image_set: ImageSet, val_set: ImageSet
) -> None:
    first, other = "convnet1_w4_bn", "convnet1_w8_bn"
    changes = {"method": "random", "squeeze.arch": first, "relabel.teachers": (other, "convnet1_w2")}
    recipe = complete({}, changes)
    runner = Runner(recipe=recipe, store=Store(root=tmp_path), out=tmp_path, watcher=Watcher())
    monkeypatch.setattr(Runner, "run", lambda *_, settings, **_of: GivenResult(key=settings.arch, record=settings.arch))
    teachers = tuple(GivenResult(key=arch, record=arch) for arch in (first, other))
    found = labelling_teachers(runner, plan_run(recipe, image_set, val_set), teachers)
    assert [each.key for each in found] == [first, other, "convnet1_w2"]


def whole_run(
    method: str, tmp_path: Path, train: ImageSet, val: ImageSet, **settings: Any
) -> tuple[dict[str, Any], Runner]:
    recipe = complete({**TINY, "method": method, **settings})
    plan = plan_run(recipe, train, val)
    (tmp_path / "out").mkdir(exist_ok=True)
    runner = Runner(recipe=recipe, store=Store(root=tmp_path / "store"), out=tmp_path / "out", watcher=Watcher())
    return run_stages(runner, plan, "test"), runner


def test_a_run_of_gvbsm_has_its_teachers_label_together(tmp_path: Path, image_set: ImageSet, val_set: ImageSet) -> None:
    metrics, runner = whole_run("gvbsm", tmp_path, image_set, val_set)
    stages = [result.stage.name for result in runner.results]
    assert stages.count("squeeze") == stages.count("layer_statistics") == 3
    assert {score["set"] for score in metrics["evaluations"]} == {"gvbsm", "random"}
    assert metrics["teacher"]["arch"] == "convnet1_w8_bn"
    teachers = [result for result in runner.results if result.stage.name == "squeeze"]
    labels = next(result for result in runner.results if result.stage.name == "relabel")
    manifest = json.loads((labels.folder.path / "manifest.json").read_text("utf-8"))
    assert manifest["inputs"][1] == [teacher.key for teacher in teachers]
    assert metrics["costs"]["gvbsm"]["seconds"]["layer_statistics"] >= 0


def test_a_run_of_scdd_has_one_teacher_of_its_own(tmp_path: Path, image_set: ImageSet, val_set: ImageSet) -> None:
    metrics, runner = whole_run("scdd", tmp_path, image_set, val_set)
    stages = {result.stage.name for result in runner.results}
    assert {"selfsupervised", "statistics", "invert", "diagnose"} <= stages
    assert "squeeze" not in stages
    assert {score["set"] for score in metrics["evaluations"]} == {"scdd", "random"}
    again, second = whole_run("scdd", tmp_path, image_set, val_set, seed=1)
    teachers = [
        result.key for found in (runner, second) for result in found.results if result.stage.name == "selfsupervised"
    ]
    assert len(set(teachers)) == 1  # runs with other seeds share one teacher
    assert again["teacher"] == metrics["teacher"]


def test_a_network_that_does_not_exist_is_found_before_any_work(
    tmp_path: Path, image_set: ImageSet, val_set: ImageSet, make_image_set: Callable[..., ImageSet]
) -> None:
    with pytest.raises(ConfigError, match="unknown network 'resnet81'"):
        whole_run("gvbsm", tmp_path, image_set, val_set, **{"gvbsm.teachers": ("resnet81",)})
    assert not list(tmp_path.glob("store/*"))
