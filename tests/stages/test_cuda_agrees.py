"""Every stage gives on CUDA what it gives on the CPU, in fp32 and up to rounding."""

from collections.abc import Iterator

import pytest
import torch

from wmdd.context import Context
from wmdd.settings import (
    EvaluateSettings,
    NoSettings,
    RecoverSettings,
    RelabelSettings,
    SqueezeSettings,
    StatisticsSettings,
)
from wmdd.stages.diagnose import diagnose
from wmdd.stages.dynamics import dynamics
from wmdd.stages.evaluate import evaluate
from wmdd.stages.recover import recover
from wmdd.stages.relabel import relabel
from wmdd.stages.squeeze import squeeze
from wmdd.stages.statistics import statistics
from wmdd.values import Barycenters, ClassStatistics, DistilledSet, ImageSet, Teacher

pytestmark = pytest.mark.gpu

TOLERANCE = {"rtol": 1e-3, "atol": 1e-3}


@pytest.fixture(autouse=True)
def full_precision() -> Iterator[None]:
    """Compute convolutions in true fp32: cuDNN's default, TF32, keeps ten bits of the mantissa."""
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        yield


def both() -> tuple[Context, Context]:
    return Context(seed=1), Context(seed=1, device=torch.device("cuda"))


def test_squeeze(image_set: ImageSet, val_set: ImageSet) -> None:
    settings = SqueezeSettings(arch="convnet2_w4_bn", epochs=1, batch=12, lr=0.01)
    one, other = (squeeze(image_set, val_set, settings, ctx=ctx) for ctx in both())
    for name, value in one.weights.items():
        torch.testing.assert_close(other.weights[name], value, **TOLERANCE)


def test_dynamics(image_set: ImageSet) -> None:
    settings = SqueezeSettings(arch="convnet2_w4_bn", epochs=2, batch=12, lr=0.01)
    one, other = (dynamics(image_set, settings, ctx=ctx) for ctx in both())
    assert other.answers.device.type == "cpu"
    torch.testing.assert_close(other.confidence, one.confidence, **TOLERANCE)


def test_statistics(image_set: ImageSet, teacher: Teacher) -> None:
    one, other = (statistics(image_set, teacher, StatisticsSettings(), ctx=ctx) for ctx in both())
    for name in ("features", "means", "variances"):
        torch.testing.assert_close(getattr(other, name), getattr(one, name), **TOLERANCE)


def test_recover(
    image_set: ImageSet, teacher: Teacher, class_statistics: ClassStatistics, barycenters: Barycenters
) -> None:
    settings = RecoverSettings(iterations=5)
    one, other = (recover(image_set, teacher, class_statistics, barycenters, settings, ctx=ctx) for ctx in both())
    assert int((one.images.int() - other.images.int()).abs().max()) <= 1


def test_diagnose(distilled: DistilledSet, teacher: Teacher, class_statistics: ClassStatistics) -> None:
    one, other = (diagnose(distilled, teacher, class_statistics, NoSettings(), ctx=ctx) for ctx in both())
    for name in ("costs", "kmeans_costs", "distances", "head_gaps", "head_bounds", "loss_gaps", "loss_bounds"):
        torch.testing.assert_close(getattr(other, name), getattr(one, name), **TOLERANCE)


def test_relabel(distilled: DistilledSet, teacher: Teacher) -> None:
    one, other = (relabel(distilled, (teacher,), RelabelSettings(), epochs=1, batch=4, ctx=ctx) for ctx in both())
    for name, value in one.epochs[0].tensors().items():
        torch.testing.assert_close(other.epochs[0].tensors()[name], value, **TOLERANCE)
    torch.testing.assert_close(other.plain, one.plain, **TOLERANCE)


def test_evaluate(distilled: DistilledSet, teacher: Teacher, val_set: ImageSet) -> None:
    labels = relabel(distilled, (teacher,), RelabelSettings(), epochs=2, batch=6)
    settings = EvaluateSettings(students=("convnet1_w8_bn",), labels="soft", seeds=1, epochs=2, tests=1)
    one, other = (evaluate(distilled, (labels,), (teacher,), val_set, settings, ctx=ctx) for ctx in both())
    assert other.scores[0].top1 == pytest.approx(one.scores[0].top1, abs=100 / len(val_set) + 1e-6)
