"""ZCA whitening against an independent computation in NumPy; there and back; where it is repeated."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from wmdd.context import Context
from wmdd.data.loading import to_float
from wmdd.data.whitening import fit_whitening, unwhitened, whitened
from wmdd.errors import ConfigError
from wmdd.evaluation.students import planned_students
from wmdd.evaluation.supervision import StudentBatches, Supervision, fixed
from wmdd.evaluation.teaching import Whitened
from wmdd.models.building import build_teacher
from wmdd.settings import EvaluateSettings, RelabelSettings
from wmdd.stages.evaluate import evaluate
from wmdd.stages.relabel import relabel
from wmdd.training.loop import Batch
from wmdd.training.ntk import centred_classes, kernel_regression
from wmdd.values import DistilledSet, ImageSet, Teacher


def normalised(image_set: ImageSet, teacher: Teacher) -> torch.Tensor:
    return to_float(image_set.images.fetch(range(len(image_set))), teacher.mean, teacher.std)


@pytest.mark.parametrize("kind", ["pixels", "standardised"])
def test_it_is_the_inverse_root_of_the_regularised_covariance(kind: str, image_set: ImageSet, teacher: Teacher) -> None:
    whitening = fit_whitening(image_set, teacher, kind, Context())  # pyright: ignore[reportArgumentType]
    inputs = normalised(image_set, teacher)
    found = whitened(inputs, whitening).flatten(1).double().numpy()
    rows = inputs.flatten(1).double().numpy()
    if kind == "pixels":
        rows = image_set.images.fetch(range(len(image_set))).flatten(1).double().numpy() / 255
    centred = rows - rows.mean(0)
    _, singular, right = np.linalg.svd(centred / np.sqrt(len(rows)), full_matrices=True)
    values = np.zeros(rows.shape[1])
    values[: len(singular)] = singular**2
    ridge = 0.1 if kind == "pixels" else 0.1 * values.sum() / len(values)
    expected = centred @ (right.T / np.sqrt(values + ridge)) @ right
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_there_and_back(image_set: ImageSet, teacher: Teacher) -> None:
    whitening = fit_whitening(image_set, teacher, "pixels", Context())
    images = 2 * torch.randn(5, 3, 8, 8)
    torch.testing.assert_close(unwhitened(whitened(images, whitening), whitening), images, rtol=1e-4, atol=1e-4)
    assert whitened(images, None) is images
    assert unwhitened(images, None) is images
    assert fit_whitening(image_set, teacher, "none", Context()) is None


def test_images_of_too_many_numbers_are_refused(image_set: ImageSet, teacher: Teacher) -> None:
    form = replace(teacher, spec=replace(teacher.spec, image_size=64))
    with pytest.raises(ConfigError, match=r"^ZCA is for images of at most 4096 numbers; got 12288; set data\.image_s"):
        fit_whitening(image_set, form, "pixels", Context())


def test_students_learn_and_are_tested_behind_the_whitening(
    distilled: DistilledSet, image_set: ImageSet, teacher: Teacher
) -> None:
    """Kernel regression on a whitened set is that on whitened images, for whitened test images."""
    whitening = fit_whitening(image_set, teacher, "standardised", Context())
    of = replace(distilled, exact=torch.randn(distilled.images.shape), whitening=whitening)
    soft = relabel(of, (teacher,), RelabelSettings(), epochs=0, batch=6)
    settings = EvaluateSettings(protocols=("kernel",), seeds=1)
    (score,) = evaluate(of, (soft,), (teacher,), image_set, settings).scores
    assert of.exact is not None
    support, queries = whitened(of.exact, whitening), whitened(normalised(image_set, teacher), whitening)
    answers = kernel_regression(support, centred_classes(of.labels, 3), queries).argmax(1)
    assert score.top1 == pytest.approx(100 * float((answers == image_set.labels).double().mean()))


def test_a_teacher_is_asked_about_images_without_it(
    distilled: DistilledSet, image_set: ImageSet, teacher: Teacher
) -> None:
    """A whitening to nothing: the student is blind, the teacher's answers are what they are."""
    numbers = distilled.images[0].numel()
    blind = replace(distilled, whitening=torch.zeros(numbers + 1, numbers))
    settings = EvaluateSettings(students=("convnet1_w4",), protocols=("rded",), seeds=1, epochs=1, labels="soft")
    found: list[list[Batch]] = []
    for of in (distilled, blind):
        soft = relabel(of, (teacher,), RelabelSettings(), epochs=0, batch=6)
        (student,) = planned_students(settings, of, own_procedure="training", stored=(soft,))
        model = build_teacher(teacher)
        supervision = Supervision(distilled=of, supply=fixed(of), teacher=model, stem=teacher.spec.stem)
        found.append(list(StudentBatches(student, supervision, Context())(0)))
    for plain, whole in zip(*found, strict=True):
        assert torch.equal(plain.targets, whole.targets)
        assert float(whole.images.abs().max()) == 0


def test_a_network_behind_a_whitening() -> None:
    whitening = torch.cat([2 * torch.eye(12), torch.ones(1, 12)])
    images = torch.randn(2, 3, 2, 2)
    torch.testing.assert_close(Whitened(nn.Identity(), whitening)(images), 2 * images + 1)
