"""Every stage on the pretended CUDA device: the CPU's results, nothing on the wrong device, and no step that waits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest
import torch

from drawn import drawn_distilled, drawn_set, drawn_teacher
from fake_cuda import WrongDeviceError, check_record, check_waits, fake_cuda
from wmdd.context import Context
from wmdd.settings import (
    BarycenterSettings,
    EvaluateSettings,
    NoSettings,
    RecoverSettings,
    RelabelSettings,
    SqueezeSettings,
    StatisticsSettings,
    ViewSettings,
)
from wmdd.stages.barycenter import barycenter
from wmdd.stages.diagnose import diagnose
from wmdd.stages.dynamics import dynamics
from wmdd.stages.evaluate import evaluate
from wmdd.stages.full_data import assess_full_data
from wmdd.stages.losses import losses
from wmdd.stages.pool import evaluate_pool
from wmdd.stages.recover import recover
from wmdd.stages.relabel import relabel
from wmdd.stages.squeeze import squeeze
from wmdd.stages.statistics import statistics
from wmdd.stages.view_features import view_features
from wmdd.values import Barycenters, ClassStatistics, DistilledSet, SoftLabels, Teacher

TRAIN, VAL = drawn_set(), drawn_set(per_class=4, split="val", seed=1)
STUDENT = "convnet1_w4_bn"
NETWORK = SqueezeSettings(arch="convnet2_w4_bn", epochs=2, batch=9, lr=0.01)
STEPS = 4


@cache
def teacher() -> Teacher:
    return drawn_teacher(TRAIN)


@cache
def further_teacher() -> Teacher:
    return drawn_teacher(TRAIN, "convnet1_w4_bn")


@cache
def real() -> ClassStatistics:
    return statistics(TRAIN, teacher(), StatisticsSettings())


@cache
def atoms() -> Barycenters:
    return barycenter(real(), BarycenterSettings(iterations=2), ipc=2)


@cache
def distilled() -> DistilledSet:
    return drawn_distilled(TRAIN)


@cache
def labels(store: str = "full") -> SoftLabels:
    return relabel(distilled(), (teacher(),), RelabelSettings(store=store, cutmix=1.0), epochs=2, batch=4)


def recovered(ctx: Context, **settings: Any) -> DistilledSet:
    settings = {"iterations": STEPS, "batch": 4, **settings}
    return recover(TRAIN, teacher(), real(), atoms(), RecoverSettings(**settings), ctx=ctx)


def evaluated(ctx: Context, *protocols: str, **settings: Any) -> object:
    chosen = {"students": (STUDENT,), "labels": "soft", "seeds": 1, "epochs": 2, "tests": 1, **settings}
    of = EvaluateSettings(protocols=protocols, **chosen)
    return evaluate(distilled(), (labels(),), (teacher(),), VAL, of, ctx=ctx)


def pooled(ctx: Context) -> object:
    of = EvaluateSettings(students=(STUDENT,), protocols=("wmdd", "hard"), labels="soft", seeds=1, epochs=2, tests=1)
    return evaluate_pool(TRAIN, (labels(),), (teacher(),), VAL, of, ipc=2, per_class=None, ctx=ctx)


def relabelled(ctx: Context, store: str = "full", *more: Teacher) -> SoftLabels:
    settings = RelabelSettings(store=store, cutmix=1.0, top_k=2)
    return relabel(distilled(), (teacher(), *more), settings, epochs=2, batch=4, ctx=ctx)


@dataclass(frozen=True)
class Case:
    run: Callable[[Context], object]
    fault: str
    """Function in whose result faults are planted; none where nothing is on the device."""
    waits: Mapping[str, int] = field(default_factory=dict)
    """Function → how often it waits for the device."""


TERMS = "stages.recovery.terms"
GROUPS, REPORTS = 2, 2 * STEPS  # with fewer than 200 steps there is a row in the log for each
CASES: dict[str, Case] = {
    "squeeze": Case(
        lambda ctx: squeeze(TRAIN, VAL, NETWORK, ctx=ctx),
        "stages.squeeze:label_loss",
        {"_epoch": 2, "accuracies": 3, "first_nonfinite": 1},
    ),
    "statistics": Case(
        lambda ctx: statistics(TRAIN, teacher(), StatisticsSettings(batch=5), ctx=ctx),
        "stages.statistics:network_inputs",
        {"pass_images": 3, "LayerMoments.tensors": 6},
    ),
    "barycenter": Case(lambda ctx: barycenter(real(), BarycenterSettings(iterations=2), ipc=2, ctx=ctx), "", {}),
    "recover": Case(
        recovered, f"{TERMS}:squared_feature_distance", {"_report": REPORTS, "_loss_again": GROUPS, "to_pixels": GROUPS}
    ),
    "recover, reference": Case(
        lambda ctx: recovered(ctx, form="reference", ce_weight=1.0), f"{TERMS}:feature_norm", {"_report": REPORTS}
    ),
    "recover, reference, one group": Case(
        lambda ctx: recovered(ctx, form="reference", bn="global", batch=100), f"{TERMS}:layer_norms", {"_report": STEPS}
    ),
    "recover, entropy": Case(
        lambda ctx: recovered(ctx, feature_loss="cross_entropy", bn="global", curriculum="cosine"),
        f"{TERMS}:cross_entropy",
        {"_report": REPORTS},
    ),
    "recover, running": Case(
        lambda ctx: recovered(ctx, form="reference", feature_loss="cross_entropy", bn="running", bn_first=10.0),
        f"{TERMS}:layer_norms",
        {"_report": REPORTS},
    ),
    "recover, no moments": Case(
        lambda ctx: recovered(ctx, bn="none", start="real", roll=2),
        "stages.recovery.terms:step_views",
        {"_report": REPORTS},
    ),
    "relabel": Case(relabelled, "stages.relabel:view_inputs", {"teacher_logits": 3}),
    "relabel, largest": Case(lambda ctx: relabelled(ctx, "topk"), "stages.relabel:view_inputs", {"teacher_logits": 3}),
    "relabel, online": Case(lambda ctx: relabelled(ctx, "online"), "stages.relabel:distilled_inputs"),
    "relabel, two teachers": Case(
        lambda ctx: relabelled(ctx, "full", further_teacher()), "stages.relabel:view_inputs", {"teacher_logits": 3}
    ),
    **{
        f"evaluate, {name}": Case(
            lambda ctx, name=name: evaluated(ctx, name),
            f"evaluation.supervision:{loss}",
            {"_epoch": 2, "accuracies": 1, "first_nonfinite": 1},
        )
        for name, loss in {
            "wmdd": "distillation_loss",
            "rded": "distillation_loss",
            "rded_mosaic": "distillation_loss",
            "gvbsm": "logit_loss",
            "edc": "logit_loss",
            "fadrm": "view_inputs",
            "cim": "view_inputs",
            "dc": "apply_dsa",
            "hard": "view_inputs",
        }.items()
    },
    "evaluate, hard labels": Case(
        lambda ctx: evaluated(ctx, "wmdd", labels="hard"), "evaluation.supervision:view_inputs", {"_epoch": 2}
    ),
    "evaluate, kernel": Case(lambda ctx: evaluated(ctx, "kernel"), "evaluation.procedures:kernel_regression"),
    "diagnose": Case(
        lambda ctx: diagnose(distilled(), teacher(), real(), NoSettings(), ctx=ctx),
        "stages.diagnose:distilled_inputs",
        {"_features_and_head": 1, "_is_affine_head": 2, "_array": 2},
    ),
    "losses": Case(
        lambda ctx: losses(distilled(), teacher(), (real(), real()), TRAIN, ViewSettings(), ctx=ctx),
        "stages.losses:step_views",
        {"_under_network": 4},
    ),
    "view_features": Case(
        lambda ctx: view_features(TRAIN, teacher(), ViewSettings(), ctx=ctx),
        "stages.view_features:network_inputs",
        {"_of_class": 3},
    ),
    "pool": Case(pooled, "evaluation.supervision:view_inputs", {"_epoch": 4, "accuracies": 2}),
    "dynamics": Case(
        lambda ctx: dynamics(TRAIN, NETWORK, ctx=ctx), "stages.squeeze:label_loss", {"_epoch": 2, "_Record._write": 2}
    ),
    "full_data": Case(
        lambda ctx: assess_full_data(teacher(), VAL, NoSettings(), seed=0, ctx=ctx),
        "evaluation.accuracy:network_inputs",
        {"accuracies": 1},
    ),
}
FAULTY = [name for name, case in CASES.items() if case.fault]
CPU, CUDA = Context(seed=1), Context(seed=1, device=torch.device("cuda"))


@pytest.mark.parametrize("name", CASES)
def test_a_stage_gives_what_it_gives_on_the_cpu_and_no_step_waits(name: str) -> None:
    case = CASES[name]
    expected = case.run(CPU)  # what the case rests on is made here too
    with fake_cuda() as waits:
        found = case.run(CUDA)
    check_record(found, expected)
    check_waits(waits, **case.waits)
    assert bool(waits.places) == bool(case.fault)


@pytest.mark.parametrize("name", FAULTY)
def test_a_planted_wait_is_found(name: str, plant: Callable[[str, str], None]) -> None:
    CASES[name].run(CPU)
    plant("wait", CASES[name].fault)
    with fake_cuda() as waits:
        CASES[name].run(CUDA)
    with pytest.raises(AssertionError, match="conftest:waiting waits"):
        check_waits(waits)


@pytest.mark.parametrize("name", FAULTY)
def test_a_planted_tensor_of_the_cpu_is_found(name: str, plant: Callable[[str, str], None]) -> None:
    CASES[name].run(CPU)
    plant("stranger", CASES[name].fault)
    with fake_cuda(), pytest.raises(WrongDeviceError, match="on CUDA and on the CPU together"):
        CASES[name].run(CUDA)
