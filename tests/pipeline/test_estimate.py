"""What a run will cost, said beforehand: counted by hand here."""

from pathlib import Path

import pytest
import torch

from drawn import drawn_set
from wmdd.methods import Size, Work
from wmdd.methods.algorithm import load_algorithm
from wmdd.methods.catalogue import builtin_methods, complete, find_method
from wmdd.ot import compiled
from wmdd.pipeline import estimate as module
from wmdd.pipeline import speeds
from wmdd.pipeline.estimate import estimate, span
from wmdd.pipeline.plan import plan_run
from wmdd.pipeline.speeds import Speed, Speeds
from wmdd.settings import Recipe
from wmdd.settings.recipe import nested
from wmdd.values import ModelSpec

SIZE = Size(images=1000, classes=10)
TREE = nested(
    {
        "ipc": 2,
        "squeeze": {"arch": "resnet18", "epochs": 3},
        "recover.iterations": 100,
        "dc": {"arch": "convnet3", "iterations": 7, "outer": 5, "inner": 4, "batch_real": 50},
        "dm": {"arch": "convnet3", "iterations": 7, "batch_real": 50},
        "datadam": {"arch": "convnet3", "iterations": 7, "batch_real": 50},
        "cad.epochs": 12,
        "dd": {"arch": "convnet3_nn", "iterations": 7, "epochs": 2, "networks": 2, "batch": 64},
        "experts": {"arch": "convnet3", "count": 2, "epochs": 5},
        "mtt": {"iterations": 7, "steps": 3, "batch": 15},
        "gvbsm": {"iterations": 100, "teachers": ("convnet3_bn", "resnet18")},
        "selfsupervised.epochs": 4,
        "rded": {"sample": 300, "crops": 5},
    }
)


def recipe_for(name: str) -> Recipe:
    return complete({**TREE, "method": name})


BY_HAND = {
    "random": (),
    "herding": (Work(arch="resnet18", forward=1000),),
    "forgetting": (Work(arch="resnet18", both=3 * 1000),),
    "cad-prune": (Work(arch="resnet18", both=12 * 1000),),
    "bps": (Work(arch="resnet18", forward=2 * 1000),),
    "wmdd": (Work(arch="resnet18", forward=1000, both=1.5 * 100 * 20),),
    "dc": (Work(arch="convnet3", both=7 * 5 * (10 * 50 + 3 * 20 + 4 * 20)),),
    "dm": (Work(arch="convnet3", forward=7 * 10 * 50, both=7 * 20),),
    "datadam": (Work(arch="convnet3", forward=7 * 10 * 50, both=7 * 20),),
    "dd": (Work(arch="convnet3_nn", both=7 * 2 * (3 * 2 * 2 * 10 + 64)),),
    "mtt": (Work(arch="convnet3", both=2 * 5 * 1000 + 3 * 7 * 3 * 15),),
    "rded": (Work(arch="resnet18", forward=1000 * 5),),
    "gvbsm": tuple(Work(arch=arch, forward=1000, both=1.5 * 100 * 10) for arch in ("resnet18", "convnet3_bn")),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_work_counted_by_hand(name: str) -> None:
    work = load_algorithm(find_method(name)).work
    assert work is not None
    assert work(recipe_for(name), SIZE) == BY_HAND[name]


@pytest.mark.parametrize("name", builtin_methods())
def test_every_method_counts_for_networks_that_there_are(name: str) -> None:
    card, recipe = find_method(name), recipe_for(name)
    method, known = load_algorithm(card), {"resnet18", *card.network_names(recipe)}
    parts = (*method.teach_work(recipe, SIZE), *(method.work(recipe, SIZE) if method.work else ()))
    assert {part.arch for part in parts} <= known
    assert all(part.forward >= 0 and part.both >= 0 and part.forward + part.both > 0 for part in parts)


def test_what_teachers_see() -> None:
    alone = (Work(arch="resnet18", both=3000),)
    seen = {name: load_algorithm(find_method(name)).teach_work for name in ("wmdd", "gvbsm", "scdd")}
    assert seen["wmdd"](recipe_for("wmdd"), SIZE) == alone
    assert seen["gvbsm"](recipe_for("gvbsm"), SIZE) == (*alone, Work(arch="convnet3_bn", both=3000))
    assert seen["scdd"](recipe_for("scdd"), SIZE) == (Work(arch="resnet18", both=8000),)
    given = recipe_for("wmdd").with_settings({"squeeze.checkpoint": "teacher.pt"})
    assert seen["wmdd"](given, SIZE) == ()
    recorded, given = load_algorithm(find_method("forgetting")).work, {"squeeze.checkpoint": "teacher.pt"}
    assert recorded is not None
    assert recorded(recipe_for("forgetting").with_settings(given), SIZE) == alone  # trained all the same


def test_seconds_are_work_times_speed_and_networks_are_timed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    timed: list[str] = []

    def step_seconds(spec: ModelSpec, device: torch.device, precision: str) -> Speed:
        del device, precision
        timed.append(spec.arch)
        return Speed(forward=0.001, both=0.003, step=0.01)

    monkeypatch.setattr(speeds, "step_seconds", step_seconds)
    monkeypatch.setattr("wmdd.pipeline.compiling.compiled_before", lambda: True)
    train = drawn_set()
    small = {"squeeze": {"arch": "convnet1_bn", "epochs": 2}, "ipc": 2, "recover.iterations": 10}
    evaluation = {
        "students": ("convnet1_bn", "convnet1"),
        "protocols": ("wmdd",),
        "seeds": 3,
        "epochs": 5,
        "labels": "soft",
        "references": ("random",),
    }
    recipe = complete({**small, "evaluate": evaluation})
    cost = estimate(plan_run(recipe, train, train), torch.device("cpu"), "fp32")
    assert cost.seconds == pytest.approx(
        {
            "teacher": 2 * (36 * 0.003 + 0.01),  # one batch
            "wmdd": 36 * 0.001 + 10 * (1.5 * 6 * 0.003 + 0.01),
            "labels": 2 * 5 * 6 * 0.001,
            "students": 2
            * 2
            * 3
            * (5 * (6 * 0.003 + 0.01) + 5 * 36 * 0.001),  # trained, and tested after each of 5 epochs
        }
    )
    assert sorted(timed) == ["convnet1", "convnet1_bn"]
    every = recipe.with_settings({"evaluate.references": ("random", "k-medoids", "all")})
    beside = estimate(plan_run(every, train, train), torch.device("cpu"), "fp32")
    assert beside.seconds == pytest.approx(
        {
            **cost.seconds,
            "labels": 3 * cost.seconds["labels"] / 2,
            "students": 3 * cost.seconds["students"] / 2,
            # As one set, and the teacher is asked about every view of every student.
            "all real images": cost.seconds["students"] / 2 + 2 * 3 * 5 * 6 * 0.001,
        }
    )
    dm = complete({**small, "evaluate": {**evaluation, "references": ("k-medoids",)}, "method": "dm"})
    seen = estimate(plan_run(dm, train, train), torch.device("cpu"), "fp32").seconds
    assert seen["references"] == pytest.approx(36 * 0.001)
    monkeypatch.setattr("wmdd.pipeline.compiling.compiled_before", lambda: False)
    for count, hidden in (
        (1, 0.0),
        (2, cost.seconds["teacher"]),
    ):
        monkeypatch.setattr(module, "processors", lambda count=count: count)
        fresh = estimate(plan_run(recipe, train, train), torch.device("cpu"), "fp32")
        assert fresh.seconds == pytest.approx({**cost.seconds, "compiling": module.COMPILING - hidden})
    monkeypatch.setattr(speeds, "pair_seconds", lambda *_: (0.01, 0.04))
    changed = {"iterations": 5, "batch": 20, "kernel": "convnet1"}
    kip = {**small, "evaluate": evaluation, "method": "kip", "kip": changed}
    pairs = 6 * (6 + 18)  # of the set with itself, and with six real images of each class
    found = estimate(plan_run(complete(kip), train, train), torch.device("cpu"), "fp32")
    assert found.seconds["kip"] == pytest.approx(5 * pairs * 0.04)
    solved = estimate(plan_run(complete({**small, "method": "ls"}), train, train), torch.device("cpu"), "fp32")
    assert solved.seconds["ls"] == pytest.approx(6 * (6 + 36) * 0.01)


def test_a_network_is_timed_for_real() -> None:
    spec = ModelSpec(arch="convnet1_w4_bn", num_classes=3, channels=3, image_size=8, stem="small")
    speeds = Speeds({spec.arch: spec}, torch.device("cpu"), "fp32")
    forward, both, step = speeds[spec.arch]
    assert 0 < forward < both * 2
    assert step >= 0
    assert speeds.seconds([Work(arch="convnet1_w4_bn", forward=10, both=1)]) == pytest.approx(10 * forward + both)


@pytest.mark.parametrize(("seconds", "said"), [(0.2, "1 s"), (59.4, "59 s"), (90, "2 min"), (7200, "2.0 h")])
def test_spans_as_a_person_says_them(seconds: float, said: str) -> None:
    assert span(seconds) == said


def test_machine_code_is_found_where_it_is_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "__file__", str(tmp_path / "compiled.py"))
    monkeypatch.setattr("numba.config.CACHE_DIR", "")
    assert not compiled.compiled_before()
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "plan.some.nbi").touch()
    assert compiled.compiled_before()
