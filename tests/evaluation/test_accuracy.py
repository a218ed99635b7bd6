"""Accuracy: answers that are not finite are no accuracy."""

from dataclasses import replace

import pytest
import torch

from drawn import drawn_distilled, drawn_set, drawn_teacher
from wmdd.context import Context
from wmdd.data.inputs import distilled_inputs
from wmdd.errors import NumericsError
from wmdd.evaluation.accuracy import accuracies
from wmdd.evaluation.procedures import KernelRegression
from wmdd.models.building import build_teacher
from wmdd.training.ntk import tangent_kernel


def test_answers_that_are_not_finite_are_refused() -> None:
    images = drawn_set()
    teacher = drawn_teacher(images)
    model = build_teacher(teacher)
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    with pytest.raises(
        NumericsError, match="got nan for an image of class 'class-0', and its weights .* are not finite either"
    ):
        accuracies(model, images, teacher, Context())


def test_kernel_regression_without_a_solution_has_no_accuracy() -> None:
    images = drawn_set()
    distilled = drawn_distilled(images)
    huge = 1e200 * distilled_inputs(distilled, slice(None), torch.device("cpu")).double()
    kernel = KernelRegression(replace(distilled, exact=huge), tangent_kernel, torch.device("cpu")).eval()
    with pytest.raises(NumericsError, match="got nan for an image of class .*, and its weights are finite"):
        accuracies(kernel, images, distilled, Context())
