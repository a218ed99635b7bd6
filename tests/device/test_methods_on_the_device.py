"""Every method on the pretended CUDA device: the set of the CPU, nothing on the wrong device, no step that waits."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
import torch

from drawn import drawn_set
from fake_cuda import WrongDeviceError, check_record, check_waits, fake_cuda
from methods.tiny_settings import TINY
from wmdd.context import Context
from wmdd.methods import squeezed
from wmdd.methods.algorithm import load_algorithm
from wmdd.methods.catalogue import builtin_methods, complete, find_method
from wmdd.pipeline.runner import GivenResult
from wmdd.settings import SqueezeSettings
from wmdd.stages.squeeze import squeeze
from wmdd.values import DistilledSet

TRAIN, VAL = drawn_set(per_class=8), drawn_set(per_class=4, split="val", seed=1)
SQUEEZE = {"arch": "convnet1_w4_bn", "epochs": 2, "batch": 8, "lr": 0.1}
STATISTICS, TERMS = "stages.statistics:network_inputs", "stages.recovery.terms"
PAIRS = "methods.kits.matching:apply_dsa"
FAULTS = {
    "wmdd": f"{TERMS}:squared_feature_distance",
    "wmdd+": f"{TERMS}:squared_feature_distance",
    "herding": STATISTICS,
    "k-center": STATISTICS,
    "k-means": STATISTICS,
    "k-medoids": STATISTICS,
    "forgetting": "stages.squeeze:crop_and_flip",
    "cad-prune": "stages.squeeze:crop_and_flip",
    "bps": "methods.kits.answers:network_inputs",
    "rded": "methods.rded.distill:to_float",
    "dd": "methods.dd.distill:label_loss",
    "mtt": "methods.mtt.distill:apply_dsa",
    "kip": "methods.kip.distill:regression_loss",
    "ls": "methods.ls.distill:network_inputs",
    "dc": "methods.kits.gradients:gradient_distance",
    "dsa": PAIRS,
    "dm": PAIRS,
    "datadam": "methods.datadam.distill:attention_map",
    "inversion": f"{TERMS}:squared_distance",
    "sre2l": f"{TERMS}:cross_entropy",
    "cda": f"{TERMS}:batchnorm_distance",
    "mmd": "stages.recovery.mmd:rbf_advantage",
    "scdd": "methods.scdd.selfsupervised:nt_xent",
    "gvbsm": "methods.gvbsm.terms:densification",
}
"""Method → the function in whose result faults are planted; `random` has nothing on the device but its teacher."""
FURTHER: dict[str, tuple[str, dict[str, Any]]] = {
    "dm, BatchNorm": ("dm", {"dm": {"arch": "convnet1_w4_bn", "iterations": 3, "batch_real": 6, "start": "noise"}}),
    "dc, BatchNorm, mse": (
        "dc",
        {"dc": {**TINY["dc"]["dc"], "arch": "convnet1_w4_bn", "distance": "mse", "start": "real"}},
    ),
    "dsa, cos": ("dsa", {"dsa": {**TINY["dsa"]["dsa"], "distance": "cos", "strategy": "color_cutout_scale_rotate"}}),
    "dd, graph": ("dd", {"dd": {**TINY["dd"]["dd"], "gradient": "graph"}}),
    "mtt, sweep": ("mtt", {**TINY["mtt"], "mtt": {**TINY["mtt"]["mtt"], "gradient": "sweep"}}),
    "wmdd+, chosen by moments": ("wmdd+", {**TINY["wmdd+"], "plus": {"candidates": 2}}),
    "mmd, linear": ("mmd", {**TINY["mmd"], "mmd": {"kernel": "linear"}}),
    "cda, linear": ("cda", {"cda": {**TINY["cda"]["cda"], "curriculum": "linear", "bn": "global"}}),
    "gvbsm, alone": (
        "gvbsm",
        {"gvbsm": {**TINY["gvbsm"]["gvbsm"], "teachers": (), "ema": 0.0, "density": 0.0, "shift": 0.0}},
    ),
}
"""Further cases: method and settings that take other ways through the code."""
CASES = {**{name: (name, TINY[name]) for name in builtin_methods()}, **FURTHER}


@dataclass(frozen=True)
class PlainStages:
    """Runs stages on one device and keeps nothing."""

    device: torch.device

    def run(self, stage: Any, *inputs: Any, settings: Any, of: str = "", **facts: Any) -> GivenResult:  # noqa: ARG002
        records = (tuple(part.record for part in each) if isinstance(each, tuple) else each.record for each in inputs)
        ctx = Context(stage=stage.name, seed=getattr(settings, "seed", 0), device=self.device)
        return GivenResult(key=stage.name, record=stage.run(*records, settings, ctx=ctx, **facts))


def distilled(case: str, device: str) -> DistilledSet:
    name, settings = CASES[case]
    recipe = complete({"method": name, "ipc": 2, "squeeze": SQUEEZE}, settings)
    method, stages = load_algorithm(find_method(name)), PlainStages(torch.device(device))
    train, val = (GivenResult(key=each.split, record=each) for each in (TRAIN, VAL))
    teachers = (teacher(),) if method.teach is squeezed else method.teach(stages, train, val, recipe)
    return method.distill(stages, train, teachers, recipe).record


@cache
def teacher() -> GivenResult:
    return GivenResult(key="teacher", record=squeeze(TRAIN, VAL, SqueezeSettings(**SQUEEZE)))


@cache
def on_the_cpu(case: str) -> DistilledSet:
    return distilled(case, "cpu")


@pytest.mark.parametrize("case", CASES)
def test_a_method_gives_what_it_gives_on_the_cpu_and_no_step_waits(case: str) -> None:
    with fake_cuda() as waits:
        found = distilled(case, "cuda")
    check_record(found, on_the_cpu(case))
    check_waits(waits)


def test_every_method_has_a_place_for_faults() -> None:
    assert FAULTS.keys() | {"random"} == set(builtin_methods())


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_wait_is_found(name: str, plant: Callable[[str, str], None]) -> None:
    plant("wait", FAULTS[name])
    with fake_cuda() as waits:
        distilled(name, "cuda")
    with pytest.raises(AssertionError, match="conftest:waiting waits"):
        check_waits(waits)


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_tensor_of_the_cpu_is_found(name: str, plant: Callable[[str, str], None]) -> None:
    plant("stranger", FAULTS[name])
    with fake_cuda(), pytest.raises(WrongDeviceError, match="on CUDA and on the CPU together"):
        distilled(name, "cuda")
