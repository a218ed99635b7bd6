"""Which candidates WMDD+ keeps: objectives against the losses of recovery, and subsets against all there are."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import pytest
import torch

from memory_context import MemoryContext
from wmdd import ot
from wmdd.context import Context
from wmdd.data.inputs import distilled_inputs
from wmdd.methods.wmdd_plus import PlusSettings
from wmdd.methods.wmdd_plus.choose import (
    best_rows,
    choose_images,
    discrepancy_objective,
    moment_objective,
    seen_by,
)
from wmdd.models.building import build_teacher
from wmdd.models.differentiable_moments import batchnorm_moments
from wmdd.stages.recovery.mmd import rbf_discrepancy
from wmdd.training.pixels import class_major_set
from wmdd.values import ClassStatistics, DistilledSet, ImageSet, Teacher


@pytest.fixture
def candidates(image_set: ImageSet, teacher: Teacher) -> DistilledSet:
    """Return the first six images of each class, with noise."""
    rows = torch.cat([image_set.of_class(label)[:6] for label in range(3)])
    images = image_set.images.fetch(rows.tolist()).float()
    noise = 60 * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    return class_major_set("wmdd+", (images + noise).clamp(0, 255).to(torch.uint8), teacher)


def test_exchanges_end_where_none_helps_and_greed_alone_would_not() -> None:
    """Values 4, 3, -3, 1: the pair with a sum nearest to 0 is 3 and -3; greed takes 1 first."""
    values = [4.0, 3.0, -3.0, 1.0]

    def gap(rows: Sequence[int]) -> float:
        return abs(sum(values[row] for row in rows))

    assert best_rows(gap, 4, 2) == [1, 2]
    assert best_rows(gap, 4, 4) == [0, 1, 2, 3]
    assert best_rows(lambda rows: 0.0, 4, 2) == [0, 1]  # noqa: ARG005 - all equal


def test_moments_of_a_subset_are_those_of_the_images_together(
    candidates: DistilledSet, teacher: Teacher, class_statistics: ClassStatistics
) -> None:
    model = build_teacher(teacher)
    _, first, second = seen_by(model, candidates, slice(6, 12), Context())
    means, variances = class_statistics.means[1], class_statistics.variances[1]
    objective = moment_objective(first, second, means, variances)
    for rows in ([0], [1, 4], [0, 2, 3, 5]):
        images = distilled_inputs(candidates, torch.tensor([6 + row for row in rows]), torch.device("cpu"))
        with batchnorm_moments(model, torch.full((1, len(rows)), 1 / len(rows))) as tap:
            model(images)
        expected = (tap.means[0] - means).square().sum() + (tap.variances[0] - variances).square().sum()
        assert objective(rows) == pytest.approx(float(expected.detach()), rel=1e-4)


def test_the_discrepancy_of_a_subset_is_mmd(
    candidates: DistilledSet, teacher: Teacher, class_statistics: ClassStatistics
) -> None:
    features, *_ = seen_by(build_teacher(teacher), candidates, slice(0, 6), Context())
    real = class_statistics.of_class(0).double()
    objective, median = discrepancy_objective(features, real), ot.median_distance(real.numpy())
    for rows in ([3], [1, 4], [0, 2, 3, 5]):
        assert objective(rows) == pytest.approx(float(rbf_discrepancy(features[rows], real, median)), rel=1e-9)


@pytest.mark.parametrize("by", ["batchnorm", "mmd"])
def test_the_kept_ones_are_hardly_worse_than_the_best_of_all_subsets(
    candidates: DistilledSet, teacher: Teacher, class_statistics: ClassStatistics, by: str
) -> None:
    ctx = MemoryContext()
    settings = PlusSettings(candidates=3, choose_by=by)
    found = choose_images(candidates, teacher, class_statistics, settings, ipc=2, ctx=ctx)
    for label, row in enumerate(ctx.rows):
        features, first, second = seen_by(build_teacher(teacher), candidates, slice(6 * label, 6 * label + 6), ctx)
        means, variances = class_statistics.means[label], class_statistics.variances[label]
        objective = (
            moment_objective(first, second, means, variances)
            if by == "batchnorm"
            else discrepancy_objective(features, class_statistics.of_class(label).double())
        )
        values = sorted(objective(pair) for pair in combinations(range(6), 2))
        assert row["value"] == pytest.approx(objective(row["chosen"]), rel=1e-6)
        assert row["value"] <= values[1] * (1 + 1e-9)  # of fifteen pairs, the best or the second
        kept = [6 * label + at for at in row["chosen"]]
        assert torch.equal(found.images[2 * label : 2 * label + 2], candidates.images[kept])
    assert found.weights.tolist() == [0.5] * 6
    assert found.method == "wmdd+"


def test_real_images_are_kept_and_noise_is_not(
    image_set: ImageSet, teacher: Teacher, class_statistics: ClassStatistics, candidates: DistilledSet
) -> None:
    images = candidates.images.clone()
    generator = torch.Generator().manual_seed(1)
    for label in range(3):
        rows = image_set.of_class(label)[[0, 1, 2]]
        images[6 * label + 3 : 6 * label + 6] = image_set.images.fetch(rows.tolist())
        noise = torch.randint(0, 2, images[:3].shape, generator=generator)
        images[6 * label : 6 * label + 3] = (255 * noise).to(torch.uint8)
    mixed = replace(candidates, images=images)
    for by in ("batchnorm", "mmd"):
        ctx = MemoryContext()
        settings = PlusSettings(candidates=2, choose_by=by)
        choose_images(mixed, teacher, class_statistics, settings, ipc=3, ctx=ctx)
        kept = [set(row["chosen"]) for row in ctx.rows]
        assert sum(len(rows & {3, 4, 5}) for rows in kept) >= 7, (by, kept)
