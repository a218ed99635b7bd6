"""WMDD+: with every lever off it is WMDD; each lever against what can be worked out by hand."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from memory_context import KilledError, MemoryContext
from wmdd import ot
from wmdd.context import Context
from wmdd.data.inputs import network_inputs
from wmdd.data.subsets import subset
from wmdd.errors import ConfigError, DataError
from wmdd.methods.algorithm import Size
from wmdd.methods.catalogue import complete
from wmdd.methods.wmdd_plus import PlusRecoverSettings, PlusSettings
from wmdd.methods.wmdd_plus.cells import cell_statistics, plan_owners, rank_cells, share_out
from wmdd.methods.wmdd_plus.distill import ALGORITHM
from wmdd.methods.wmdd_plus.easy import easiest_rows, easy_images
from wmdd.methods.wmdd_plus.recover import cell_share, cell_targets, mosaic, recover_plus
from wmdd.methods.wmdd_plus.terms import total_variation
from wmdd.models.building import build_teacher
from wmdd.settings import BarycenterSettings, NoSettings, RecoverSettings, StatisticsSettings
from wmdd.stages.barycenter import barycenter
from wmdd.stages.recover import recover
from wmdd.stages.recovery.groups import Group, barycenter_targets
from wmdd.stages.statistics import statistics
from wmdd.values import Barycenters, Cells, CellStatistics, ClassStatistics, DistilledSet, ImageSet, Teacher

OFF: dict[str, Any] = {"start": "noise", "statistics": "class", "set_share": 0.0, "set_loss": "wasserstein"}
OFF |= {"ce_weight": 0.0, "steps_of": "pixel", "iterations": 4, "batch": 4, "lr": 0.25}


@pytest.fixture
def barycenters(class_statistics: ClassStatistics) -> Barycenters:
    return barycenter(class_statistics, BarycenterSettings(iterations=3), ipc=3)


@pytest.fixture
def cells(image_set: ImageSet, class_statistics: ClassStatistics, barycenters: Barycenters) -> Cells:
    return share_out(image_set, class_statistics, barycenters, NoSettings())


@pytest.fixture
def moments(image_set: ImageSet, teacher: Teacher, cells: Cells) -> CellStatistics:
    return cell_statistics(image_set, teacher, cells, StatisticsSettings(batch=2))


def recovered(
    given: tuple[ImageSet, Teacher, ClassStatistics],
    shares: tuple[Barycenters, Cells] | tuple[Barycenters, Cells, CellStatistics],
    *,
    ctx: Context | None = None,
    **changes: Any,
) -> DistilledSet:
    return recover_plus(*given, shares, PlusRecoverSettings(**{**OFF, **changes}), ctx=ctx)


@pytest.mark.parametrize("start", ["noise", "real"])
def test_with_every_lever_off_the_images_are_those_of_wmdd(
    start: str,
    image_set: ImageSet,
    teacher: Teacher,
    class_statistics: ClassStatistics,
    barycenters: Barycenters,
    cells: Cells,
) -> None:
    given = (image_set, teacher, class_statistics)
    plain = recover(*given, barycenters, RecoverSettings(iterations=4, batch=4, start=start))  # pyright: ignore[reportArgumentType]
    found = recovered(given, (barycenters, cells), start=start)
    assert torch.equal(found.images, plain.images)
    assert torch.equal(found.weights, plain.weights)
    assert found.method == "wmdd+"


def test_a_class_does_not_depend_on_those_beside_it(
    image_set: ImageSet,
    teacher: Teacher,
    class_statistics: ClassStatistics,
    barycenters: Barycenters,
    cells: Cells,
    moments: CellStatistics,
) -> None:
    levers = {"start": "cell", "statistics": "blend", "set_share": 0.5, "border": "uniform", "tv": 1.0, "ema": 0.5}
    given, shares = (image_set, teacher, class_statistics), (barycenters, cells, moments)
    alone, together = (recovered(given, shares, **levers, batch=batch) for batch in (3, 9))
    assert (alone.images.int() - together.images.int()).abs().max() <= 1


# Starts


def test_without_steps_that_move_images_are_the_medoids(
    image_set: ImageSet, teacher: Teacher, class_statistics: ClassStatistics, barycenters: Barycenters, cells: Cells
) -> None:
    found = recovered((image_set, teacher, class_statistics), (barycenters, cells), start="cell", lr=1e-9)
    assert torch.equal(found.images, image_set.images.fetch(cells.medoids.flatten().tolist()))


def test_a_mosaic_is_four_whole_images_at_half_their_side(image_set: ImageSet) -> None:
    positions = torch.tensor([[0, 5, 7, 9], [3, 3, 2, 1]])
    found = mosaic(image_set, positions)
    assert found.shape == (2, 3, 8, 8)
    for row, numbers in enumerate(positions.tolist()):
        for tile, number in enumerate(numbers):
            top, left = 4 * (tile // 2), 4 * (tile % 2)
            half = F.interpolate(image_set.images.fetch([number]), (4, 4), mode="bilinear", antialias=True)
            assert torch.equal(found[row, :, top : top + 4, left : left + 4], half[0])


def test_a_mosaic_of_an_odd_side_and_a_larger_canvas_sees_the_centre(image_set: ImageSet) -> None:
    flat = torch.full((1, 3, 9, 9), 200, dtype=torch.uint8)
    flat[..., 1:8, 1:8] = 50  # what networks see

    class Flat:
        in_memory = True

        def __len__(self) -> int:
            return 1

        def fetch(self, indices: Any) -> Tensor:
            return flat.expand(len(indices), -1, -1, -1)

    images = replace(image_set, images=Flat(), labels=torch.zeros(1, dtype=torch.int64), canvas=9, image_size=7)
    found = mosaic(images, torch.zeros(1, 4, dtype=torch.int64))
    assert found.shape == (1, 3, 7, 7)
    assert found.unique().tolist() == [50]


# Cells and their statistics


def test_owners_follow_the_plan_and_its_weights() -> None:
    points, atoms = np.array([[0.0], [1.0], [2.0], [10.0]]), np.array([[0.0], [10.0]])
    assert plan_owners(points, atoms, np.array([0.75, 0.25])).tolist() == [0, 0, 0, 1]
    assert plan_owners(points, atoms, np.array([0.5, 0.5])).tolist() == [0, 0, 1, 1]
    assert plan_owners(points, atoms, np.array([0.6, 0.4])).tolist() == [0, 0, 1, 1]  # 0.1 of point 2 goes to atom 0
    assert plan_owners(points, atoms, np.array([0.0, 1.0])).tolist() == [1, 1, 1, 1]


def test_the_nearest_of_a_cell_come_first_and_then_the_rest_of_the_class() -> None:
    points, atoms = np.array([[0.0], [1.0], [2.0], [10.0], [11.5]]), np.array([[0.4], [11.0]])
    assert rank_cells(points, atoms, np.array([0, 0, 0, 1, 1])).tolist() == [[0, 1, 2, 3], [4, 3, 2, 1]]
    assert rank_cells(points[:2], atoms[:1], np.array([0, 0])).tolist() == [[0, 1, 0, 1]]


def test_cells_are_within_their_class_and_medoids_are_all_different(
    image_set: ImageSet, class_statistics: ClassStatistics, barycenters: Barycenters, cells: Cells
) -> None:
    for label in range(3):
        assert (image_set.labels[cells.nearest[label]] == label).all()
        assert (image_set.labels[cells.medoids[label]] == label).all()
        points = class_statistics.of_class(label).double()
        exact = torch.cdist(barycenters.atoms[label].double(), points).argmin(0)
        shares = torch.bincount(exact, minlength=3).double() / len(points)
        voronoi = replace(barycenters, weights=shares.expand(3, 3))  # then the plan is the Voronoi cells
        own = share_out(image_set, class_statistics, voronoi, NoSettings()).owners[image_set.of_class(label)]
        assert torch.equal(own, exact)
    assert len(cells.medoids.flatten().unique()) == 9


def hand_made_moments(images: ImageSet, teacher: Teacher, positions: Tensor) -> tuple[Tensor, Tensor]:
    """Return the moments of all BatchNorm inputs over images at once, in float64 with hooks of its own."""
    model, inputs = build_teacher(teacher).double(), list[Tensor]()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    with torch.no_grad():
        model(network_inputs(images.images.fetch(positions.tolist()), teacher).double())
    flat = [values.transpose(0, 1).flatten(1) for values in inputs]
    return torch.cat([x.mean(1) for x in flat]), torch.cat([x.var(1, unbiased=False) for x in flat])


def test_moments_of_a_cell_are_those_of_its_images(image_set: ImageSet, teacher: Teacher, cells: Cells) -> None:
    owners = torch.arange(36) % 2  # cells 0 and 1 hold six images each, cell 2 none
    found = cell_statistics(image_set, teacher, replace(cells, owners=owners), StatisticsSettings(batch=4))
    assert found.counts.tolist() == [[6, 6, 0]] * 3
    for label in range(3):
        for number in (0, 1):
            members = image_set.of_class(label)
            means, variances = hand_made_moments(image_set, teacher, members[owners[members] == number])
            torch.testing.assert_close(found.means[label, number], means, rtol=1e-5, atol=1e-6)
            torch.testing.assert_close(found.variances[label, number], variances, rtol=1e-5, atol=1e-6)
        assert found.variances[label, 2].eq(0).all()


def test_a_cell_that_is_its_class_has_the_moments_of_the_class(
    image_set: ImageSet, teacher: Teacher, class_statistics: ClassStatistics, cells: Cells
) -> None:
    whole = replace(cells, owners=torch.zeros(36, dtype=torch.int64), medoids=cells.medoids[:, :1])
    found = cell_statistics(image_set, teacher, whole, StatisticsSettings())
    assert torch.equal(found.means[:, 0], class_statistics.means)
    assert torch.equal(found.variances[:, 0], class_statistics.variances)


def test_small_cells_lean_on_the_class_and_empty_ones_have_its_statistics() -> None:
    counts = torch.tensor([[0, 25, 50, 150]])
    blend = PlusRecoverSettings(statistics="blend", shrinkage=50)
    assert cell_share(counts, blend)[0].tolist() == pytest.approx([0, 1 / 3, 1 / 2, 3 / 4])
    assert cell_share(counts, PlusRecoverSettings(statistics="cell")).tolist() == [[0, 1, 1, 1]]


def test_targets_of_cells_hold_each_image_alone(
    class_statistics: ClassStatistics, barycenters: Barycenters, moments: CellStatistics
) -> None:
    settings = PlusRecoverSettings(statistics="blend", shrinkage=4)
    group = Group(labels=(2, 0), ipc=3)
    plain = barycenter_targets(class_statistics, barycenters, group, settings, torch.device("cpu"))
    found = cell_targets(plain, class_statistics, moments, settings)
    assert torch.equal(found.weights, torch.ones(6, 1))
    assert found.atoms is plain.atoms
    for row, (label, number) in enumerate([(2, 0), (2, 1), (2, 2), (0, 0), (0, 1), (0, 2)]):
        count = int(moments.counts[label, number])
        for mine, cell, whole in (
            (found.means, moments.means, class_statistics.means),
            (found.variances, moments.variances, class_statistics.variances),
        ):
            expected = (count * cell[label, number] + 4 * whole[label]) / (count + 4)
            torch.testing.assert_close(mine[row], expected.float())


def test_an_image_at_its_cells_only_image_has_no_batchnorm_loss(
    image_set: ImageSet, teacher: Teacher, class_statistics: ClassStatistics, barycenters: Barycenters, cells: Cells
) -> None:
    owners = torch.full((36,), 2)
    owners[cells.medoids.flatten()] = torch.arange(3).repeat(3)
    rest = torch.arange(36)[owners == 2]
    alone = replace(cells, owners=owners)
    moments = cell_statistics(image_set, teacher, alone, StatisticsSettings())
    chosen = {"start": "cell", "statistics": "cell", "iterations": 1, "crop_min": 1.0, "flip": False}
    ctx = MemoryContext()
    recovered((image_set, teacher, class_statistics), (barycenters, alone, moments), ctx=ctx, **chosen)
    assert len(rest) == 30
    assert moments.counts.tolist() == [[1, 1, 10]] * 3
    third = [hand_made_moments(image_set, teacher, cells.medoids[label, 2:]) for label in range(3)]
    expected = sum(
        float((mean - moments.means[label, 2]).square().sum() + (var - moments.variances[label, 2]).square().sum()) / 3
        for label, (mean, var) in enumerate(third)
    )
    assert sum(row["bn_loss"] for row in ctx.rows) == pytest.approx(expected, rel=1e-4)


def test_what_does_not_belong_together_is_one_line(
    image_set: ImageSet, class_statistics: ClassStatistics, barycenters: Barycenters
) -> None:
    with pytest.raises(DataError, match="images, statistics and barycenters do not belong together"):
        share_out(subset(image_set, torch.arange(30)), class_statistics, barycenters, NoSettings())


# Easy images


def test_the_easiest_share_of_each_class_is_kept(image_set: ImageSet, teacher: Teacher) -> None:
    found = easy_images(image_set, teacher, PlusSettings(keep=0.3), ipc=1).positions
    with torch.no_grad():
        logits = build_teacher(teacher)(network_inputs(image_set.images.fetch(list(range(36))), teacher))
    chances = logits.double().softmax(1)[torch.arange(36), image_set.labels]
    for label in range(3):
        members = image_set.of_class(label)
        best = members[chances[members].argsort(descending=True)[:4]]  # 0.3 x 12, rounded up
        assert found[image_set.labels[found] == label].tolist() == sorted(best.tolist())


def test_as_many_images_are_kept_as_are_made(image_set: ImageSet, teacher: Teacher) -> None:
    found = easy_images(image_set, teacher, PlusSettings(keep=0.01), ipc=5).positions
    assert torch.bincount(image_set.labels[found]).tolist() == [5, 5, 5]


def test_of_equally_easy_images_the_first_are_kept() -> None:
    assert easiest_rows(torch.tensor([0.0, 2.0, 0.0, 2.0, 2.0]), 2).tolist() == [1, 3]


def test_a_subset_holds_its_images_labels_and_an_identity_of_its_own(image_set: ImageSet) -> None:
    part = subset(image_set, torch.tensor([3, 20, 35]))
    assert len(part) == len(part.images) == 3
    assert part.labels.tolist() == [0, 1, 2]
    assert torch.equal(part.images.fetch([2, 0]), image_set.images.fetch([35, 3]))
    others = {part.fingerprint, image_set.fingerprint, subset(image_set, torch.tensor([3, 20, 34])).fingerprint}
    assert len(others) == 3
    assert part.fingerprint == subset(image_set, torch.tensor([3, 20, 35])).fingerprint


# Images that look right


def test_total_variation_has_known_values_and_gradients() -> None:
    steps = torch.tensor([[0.0, 1.0, 3.0], [0.0, 1.0, 3.0]]).view(1, 1, 2, 3).requires_grad_()
    found = total_variation(torch.cat([steps, torch.full((1, 1, 2, 3), 7.0)]))
    assert found.tolist() == pytest.approx([1.5, 0.0])  # across: (1 + 2 + 1 + 2) / 4; down: 0
    found.sum().backward()
    assert steps.grad is not None
    across = torch.tensor([[-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0]]) / 4
    torch.testing.assert_close(steps.grad[0, 0], across)
    images = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(total_variation, images)


def test_total_variation_smooths(
    image_set: ImageSet, teacher: Teacher, class_statistics: ClassStatistics, barycenters: Barycenters, cells: Cells
) -> None:
    given, ctx = (image_set, teacher, class_statistics), MemoryContext()
    plain, smooth = (
        recovered(given, (barycenters, cells), ctx=ctx if tv else None, iterations=20, tv=tv) for tv in (0.0, 1e4)
    )
    assert total_variation(smooth.images.float()).mean() < 0.5 * total_variation(plain.images.float()).mean()
    assert all("tv_loss" in row for row in ctx.rows)


def test_averages_are_the_result_and_survive_a_kill(
    image_set: ImageSet, teacher: Teacher, class_statistics: ClassStatistics, barycenters: Barycenters, cells: Cells
) -> None:
    given, shares = (image_set, teacher, class_statistics), (barycenters, cells)
    unbroken = recovered(given, shares, ema=0.6)
    assert not torch.equal(unbroken.images, recovered(given, shares).images)
    dying = MemoryContext(stage="notebook", dies_after=2)
    with pytest.raises(KilledError):
        recovered(given, shares, ctx=dying, ema=0.6)
    assert torch.equal(recovered(given, shares, ctx=dying.again(), ema=0.6).images, unbroken.images)


def test_steps_of_images_survive_a_kill_and_leave_more_of_the_border_than_those_of_pixels(
    image_set: ImageSet, teacher: Teacher, class_statistics: ClassStatistics, barycenters: Barycenters, cells: Cells
) -> None:
    given, shares = (image_set, teacher, class_statistics), (barycenters, cells)
    settings: dict[str, Any] = {"start": "cell", "iterations": 30, "lr": 0.1}
    by_image, by_pixel = (
        recovered(given, shares, **settings, steps_of=kind).images.float() for kind in ("image", "pixel")
    )
    start = image_set.images.fetch(cells.medoids.flatten().tolist()).float()
    border = torch.ones(start.shape[-2:], dtype=torch.bool)
    border[1:-1, 1:-1] = False
    seldom, often = ((found - start)[..., border].square().mean() for found in (by_image, by_pixel))
    inside = [(found - start)[..., ~border].square().mean() for found in (by_image, by_pixel)]
    assert seldom / inside[0] < 0.8 * often / inside[1]
    dying = MemoryContext(stage="notebook", dies_after=2)
    with pytest.raises(KilledError):
        recovered(given, shares, ctx=dying, **settings, steps_of="image")
    again = recovered(given, shares, ctx=dying.again(), **settings, steps_of="image")
    assert torch.equal(again.images.float(), by_image)


@pytest.mark.parametrize("set_of", ["real", "atoms"])
def test_the_set_has_its_share_of_the_feature_loss(
    set_of: str,
    image_set: ImageSet,
    teacher: Teacher,
    class_statistics: ClassStatistics,
    barycenters: Barycenters,
    cells: Cells,
) -> None:
    given, ctx = (image_set, teacher, class_statistics), MemoryContext()
    whole = {"start": "cell", "crop_min": 1.0, "flip": False, "lr": 1e-9}
    recovered(given, (barycenters, cells), ctx=ctx, set_share=0.25, set_of=set_of, **whole)
    for row in ctx.rows:
        terms = 0.75 * row["feature_loss"] + 0.25 * row["set_loss"] + row["bn_loss"]
        assert row["loss"] == pytest.approx(terms, rel=1e-5)
    expected = 0.0
    for label in range(3):
        real = class_statistics.of_class(label)
        rows = [image_set.of_class(label).tolist().index(at) for at in cells.medoids[label].tolist()]
        aims = (real, None) if set_of == "real" else (barycenters.atoms[label], barycenters.weights[label])
        expected += ot.wasserstein2(real[rows], aims[0], barycenters.weights[label], aims[1]).value
    first = [row["set_loss"] for row in ctx.rows if row["step"] == 1]
    assert sum(first) == pytest.approx(expected, rel=1e-4)


def test_a_kernel_compares_the_set_with_real_features_as_method_mmd_does(
    image_set: ImageSet, teacher: Teacher, class_statistics: ClassStatistics, barycenters: Barycenters, cells: Cells
) -> None:
    given, ctx = (image_set, teacher, class_statistics), MemoryContext()
    whole: dict[str, Any] = {"start": "cell", "crop_min": 1.0, "flip": False, "lr": 1e-9}
    recovered(given, (barycenters, cells), ctx=ctx, set_share=0.25, set_loss="mmd_rbf", **whole)
    for row in ctx.rows:
        terms = 0.75 * row["feature_loss"] + 0.25 * row["set_loss"] + row["bn_loss"]
        assert row["loss"] == pytest.approx(terms, rel=1e-5)
    expected = 0.0
    for label in range(3):
        real = class_statistics.of_class(label).double()
        rows = [image_set.of_class(label).tolist().index(at) for at in cells.medoids[label].tolist()]
        median = float(torch.pdist(real).square().median())
        widths = [width * median for width in ot.KERNEL_WIDTHS]

        def kernel(one: torch.Tensor, other: torch.Tensor, widths: list[float] = widths) -> torch.Tensor:
            distances = torch.cdist(one, other).square()
            return sum((torch.exp(-distances / width) for width in widths), torch.zeros(())).mean()

        own = real[rows]
        unit = median / (2 * sum(1 / width for width in ot.KERNEL_WIDTHS))
        expected += unit * float(kernel(own, own) - 2 * kernel(own, real) + kernel(real, real))
    first = [row["set_loss"] for row in ctx.rows if row["step"] == 1]
    assert sum(first) == pytest.approx(expected, rel=2e-2)


# Settings and work


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"statistics": "cell", "bn": "global"},
            "need bn per_class; got statistics cell and bn global; set",
        ),
        ({"set_share": 0.5, "feature_loss": "cross_entropy"}, "set_share is a share of the squared Wasserstein loss"),
        ({"set_share": 0.5, "form": "reference"}, "got feature_loss wasserstein and form reference"),
        ({"set_share": 0.5, "set_loss": "mmd_rbf", "set_of": "atoms"}, "got set_loss mmd_rbf and set_of atoms; set"),
    ],
)
def test_settings_that_contradict_each_other_are_one_line(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        PlusRecoverSettings(**changes)


@pytest.mark.parametrize(
    ("changes", "passes"),
    [
        ({"plus.keep": 1.0}, 1.0),
        ({"plus.keep": 1.0, "recover.statistics": "blend"}, 2.0),
        ({"plus.keep": 0.25, "recover.statistics": "blend"}, 1.5),
        ({"plus.keep": 0.25}, 1.25),
        ({}, 1.5),
    ],
)
def test_further_passes_over_the_real_images_are_counted(changes: dict[str, Any], passes: float) -> None:
    counted = ALGORITHM.work
    assert counted is not None
    work = counted(complete({"method": "wmdd+", "ipc": 2, **changes}), Size(images=1000, classes=10))
    assert sum(part.forward for part in work) == 1000 * passes
    plain = counted(complete({"method": "wmdd+", "ipc": 2}), Size(images=1000, classes=10))
    assert [part.both for part in work] == [part.both for part in plain]


def test_statistics_of_kept_images_are_those_of_the_subset(image_set: ImageSet, teacher: Teacher) -> None:
    kept = torch.arange(36)[torch.arange(36) % 3 != 0]
    found = statistics(subset(image_set, kept), teacher, StatisticsSettings())
    for label in range(3):
        means, variances = hand_made_moments(image_set, teacher, kept[image_set.labels[kept] == label])
        torch.testing.assert_close(found.means[label], means, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(found.variances[label], variances, rtol=1e-5, atol=1e-6)
