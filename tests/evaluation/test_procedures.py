"""Procedures that are a method's own: kernel regression, and steps of learned lengths."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from memory_context import MemoryContext
from wmdd.data.inputs import distilled_inputs
from wmdd.data.loading import to_float
from wmdd.errors import ConfigError
from wmdd.evaluation.protocol_names import find_protocol
from wmdd.evaluation.protocols import Procedure
from wmdd.evaluation.students import procedure_of
from wmdd.models.building import build_model, resolve_spec
from wmdd.settings import EvaluateSettings, RelabelSettings
from wmdd.stages.evaluate import evaluate
from wmdd.stages.relabel import relabel
from wmdd.training.kernels import kernel_named
from wmdd.training.losses import label_loss
from wmdd.training.ntk import centred_classes, kernel_regression
from wmdd.training.unroll import xavier_start
from wmdd.values import DistilledSet, ImageSet, SoftLabels, Teacher

CPU = torch.device("cpu")
STUDENT = "convnet1_w4"


@pytest.fixture
def labels(distilled: DistilledSet, teacher: Teacher) -> SoftLabels:
    return relabel(distilled, (teacher,), RelabelSettings(), epochs=0, batch=6)


def settings(**changes: object) -> EvaluateSettings:
    return EvaluateSettings(**{"students": (STUDENT,), "seeds": 1, "labels": "soft", **changes})


def with_exact(distilled: DistilledSet) -> DistilledSet:
    return replace(distilled, exact=3 * torch.randn(distilled.images.shape))


@pytest.mark.parametrize(
    ("own", "rates", "expected"),
    [
        ("training", None, "training"),
        ("training", torch.tensor([0.1]), "training"),
        ("training", torch.tensor([0.1, 0.2]), "steps"),
        ("steps", torch.tensor([0.1]), "steps"),
        ("kernel", None, "kernel"),
        ("kernel", torch.tensor([0.1, 0.2]), "kernel"),
    ],
)
def test_own_is_what_the_set_was_made_for(
    own: Procedure, rates: Tensor | None, expected: Procedure, distilled: DistilledSet
) -> None:
    of = replace(distilled, rates=rates)
    assert procedure_of(find_protocol("own"), of, own) == expected
    assert procedure_of(find_protocol("kernel"), of, own) == "kernel"
    assert procedure_of(find_protocol("dc"), of, own) == "training"


def test_a_method_of_any_name_may_be_made_for_kernel_regression(
    distilled: DistilledSet, labels: SoftLabels, teacher: Teacher, val_set: ImageSet
) -> None:
    chosen = settings(protocols=("own", "kernel"))
    own, kernel = evaluate(distilled, (labels,), (teacher,), val_set, chosen, own_procedure="kernel").scores
    assert own == replace(kernel, protocol="own", fingerprint=own.fingerprint)


def test_own_is_the_kernel_of_the_set(
    distilled: DistilledSet, labels: SoftLabels, teacher: Teacher, val_set: ImageSet
) -> None:
    of, chosen = replace(distilled, kernel="convnet3"), settings(protocols=("own", "kernel", "kernel_conv"))
    own, fully, conv = evaluate(of, (labels,), (teacher,), val_set, chosen, own_procedure="kernel").scores
    assert own == replace(conv, protocol="own", fingerprint=own.fingerprint)
    assert len({each.fingerprint for each in (own, fully, conv)}) == 3
    inputs = to_float(val_set.images.fetch(range(len(val_set))), of.mean, of.std)
    support, classes = distilled_inputs(of, slice(None), CPU), centred_classes(of.labels, len(of.classes))
    for score, kernel in ((fully, "fc"), (conv, "convnet3")):
        answers = kernel_regression(support, classes, inputs, kernel=kernel_named(kernel)).argmax(1)
        assert score.top1 == pytest.approx(100 * float((answers == val_set.labels).double().mean()))


@pytest.mark.parametrize("targets", [None, torch.randn(6, 3)])
def test_kernel_regression_takes_the_place_of_students(
    targets: Tensor | None, distilled: DistilledSet, labels: SoftLabels, teacher: Teacher, val_set: ImageSet
) -> None:
    of = replace(with_exact(distilled), targets=targets)
    ctx = MemoryContext()
    (score,) = evaluate(of, (labels,), (teacher,), val_set, settings(protocols=("kernel",), seeds=3), ctx=ctx).scores
    inputs = to_float(val_set.images.fetch(range(len(val_set))), of.mean, of.std)
    wanted = centred_classes(of.labels, 3) if targets is None else targets
    answers = kernel_regression(distilled_inputs(of, slice(None), CPU), wanted, inputs)
    right = float((answers.argmax(1) == val_set.labels).double().mean())
    assert (score.student, score.protocol, score.labels, score.seed) == ("kernel", "kernel", "hard", 0)
    assert score.top1 == score.top1_best == pytest.approx(100 * right)
    assert ctx.steps == [(1, 1)]
    assert evaluate(of, (labels,), (teacher,), val_set, settings(protocols=("kernel",)), ctx=ctx.again()).scores == (
        score,
    )


def test_own_steps_are_those_that_the_set_has_learned(
    distilled: DistilledSet, labels: SoftLabels, teacher: Teacher, val_set: ImageSet
) -> None:
    rates = torch.tensor([0.3, 0.2, 0.1])
    of, ctx = replace(with_exact(distilled), rates=rates), MemoryContext(stage="evaluate")
    scores = evaluate(of, (labels,), (teacher,), val_set, settings(protocols=("own",), seeds=2), ctx=ctx).scores
    spec = resolve_spec(STUDENT, num_classes=3, channels=3, image_size=8, stem="small")
    model = build_model(spec)
    inputs = to_float(val_set.images.fetch(range(len(val_set))), of.mean, of.std)
    for score in scores:
        weights = xavier_start(model, ctx.generator("own weights", STUDENT, score.seed))
        for step, rate in enumerate(rates):
            leaves = {name: value.detach().requires_grad_() for name, value in weights.items()}
            images, classes = distilled_inputs(of, slice(step % 2, None, 2), CPU), of.labels[step % 2 :: 2]
            loss = label_loss(functional_call(model, leaves, (images,)), classes)
            slopes = torch.autograd.grad(loss, list(leaves.values()))
            weights = {n: v - rate * g for (n, v), g in zip(leaves.items(), slopes, strict=True)}
        right = (functional_call(model, weights, (inputs,)).argmax(1) == val_set.labels).double().mean()
        assert score.top1 == pytest.approx(100 * float(right))
        assert (score.student, score.labels) == (STUDENT, "hard")
    assert scores[0] != scores[1]


def test_own_steps_refuse_a_student_with_batchnorm(
    distilled: DistilledSet, labels: SoftLabels, teacher: Teacher, val_set: ImageSet
) -> None:
    of = replace(distilled, rates=torch.tensor([0.3, 0.2]))
    with pytest.raises(ConfigError, match="students without BatchNorm; got convnet1_w4_bn; use"):
        evaluate(of, (labels,), (teacher,), val_set, settings(protocols=("own",), students=("convnet1_w4_bn",)))


def test_own_steps_need_learned_rates(
    distilled: DistilledSet, labels: SoftLabels, teacher: Teacher, val_set: ImageSet
) -> None:
    with pytest.raises(ConfigError, match="need its learned rates; got a drawn set without; use another"):
        evaluate(distilled, (labels,), (teacher,), val_set, settings(protocols=("own",)), own_procedure="steps")
