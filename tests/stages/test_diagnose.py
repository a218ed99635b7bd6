"""The diagnose stage: the distances and gaps of what the teacher sees, class by class."""

from collections.abc import Callable
from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor, nn

from memory_context import KilledError, MemoryContext
from wmdd.context import Context
from wmdd.data.loading import to_float
from wmdd.errors import DataError
from wmdd.models.building import build_teacher
from wmdd.models.taps import features_and_logits, final_classifier
from wmdd.settings import BarycenterSettings, NoSettings, StatisticsSettings
from wmdd.stages import diagnose as stage
from wmdd.stages.barycenter import barycenter
from wmdd.stages.diagnose import diagnose
from wmdd.stages.statistics import statistics
from wmdd.values import ClassStatistics, Diagnosis, DistilledSet, ImageSet, Teacher

SETTINGS = NoSettings()
BOUNDED = (
    *("head_gaps", "head_bounds", "loss_gaps", "loss_bounds"),
    *("head_mean_bounds", "mmds", "kernel_norms", "kernel_gaps", "kernel_bounds"),
)


def columns(diagnosis: Diagnosis) -> dict[str, Tensor | None]:
    return {field.name: getattr(diagnosis, field.name) for field in fields(diagnosis) if field.name != "set"}


def same(one: Diagnosis, two: Diagnosis) -> bool:
    left, right = columns(one), columns(two)
    return all(
        a is b is None or (a is not None and b is not None and torch.equal(a, b))
        for a, b in ((left[name], right[name]) for name in left)
    )


def looked_at(distilled: DistilledSet, teacher: Teacher) -> tuple[Tensor, Tensor]:
    """Return features and logits of the images, float64."""
    with torch.no_grad():
        seen = features_and_logits(build_teacher(teacher), to_float(distilled.images, distilled.mean, distilled.std))
    return seen[0].double(), seen[1].double()


def test_every_class_gets_every_figure(
    distilled: DistilledSet,
    teacher: Teacher,
    class_statistics: ClassStatistics,
    global_stream_untouched: Callable[[], None],
) -> None:
    ctx = MemoryContext()
    found = diagnose(distilled, teacher, class_statistics, SETTINGS, ctx=ctx)
    assert found.set == "drawn"
    for name, values in columns(found).items():
        assert values is not None, name
        assert (values.shape, values.dtype) == ((3,), torch.float64)
        assert bool((values > 0).all()) or name == "uniforms", name
    assert bool((found.kmeans_costs < found.random_costs).all())
    assert bool((found.distances**2 <= found.costs * (1 + 1e-9)).all())  # Jensen
    for kind in ("head", "loss", "kernel"):
        assert bool((getattr(found, f"{kind}_gaps") <= getattr(found, f"{kind}_bounds")).all())
    assert bool((found.head_gaps <= found.head_mean_bounds).all())
    assert bool((found.mean_distances <= found.distances + 1e-9).all())  # W1 moves the mean at least that far
    assert [row["unit"] for row in ctx.rows] == ["class 0", "class 1", "class 2"]
    assert ctx.rows[1]["cost"] == float(found.costs[1])
    assert ctx.steps == [(1, 3), (2, 3), (3, 3)]
    global_stream_untouched()


def test_of_a_single_image_a_class_all_is_known_in_closed_form(
    image_set: ImageSet,
    teacher: Teacher,
    class_statistics: ClassStatistics,
    make_distilled: Callable[..., DistilledSet],
) -> None:
    distilled = make_distilled(image_set, ipc=1)
    found = diagnose(distilled, teacher, class_statistics, SETTINGS)
    features, logits = looked_at(distilled, teacher)
    head = final_classifier(build_teacher(teacher))
    matrix, bias = head.weight.double(), head.bias.double()
    for label in range(3):
        points = class_statistics.of_class(label).double()
        lengths = (points - features[label]).norm(dim=1)
        real = points @ matrix.T + bias
        target = torch.tensor([label])
        losses = [
            torch.nn.functional.cross_entropy(z, target.expand(len(z))) for z in (logits[label : label + 1], real)
        ]
        steepest = (matrix - matrix[label]).norm(dim=1).max()
        expected = {
            "costs": lengths.square().mean(),
            "kmeans_costs": points.var(dim=0, correction=0).sum(),
            "distances": lengths.mean(),
            "head_gaps": (logits[label] - real.mean(0)).norm(),
            "head_bounds": torch.linalg.matrix_norm(matrix, 2) * lengths.mean(),
            "loss_gaps": (losses[0] - losses[1]).abs(),
            "loss_bounds": steepest * lengths.mean(),
            "mean_distances": (features[label] - points.mean(0)).norm(),
            "head_mean_bounds": torch.linalg.matrix_norm(matrix, 2) * (features[label] - points.mean(0)).norm(),
            "kernel_gaps": (losses[0] - losses[1]).abs(),
        }
        for name, value in expected.items():
            torch.testing.assert_close(getattr(found, name)[label], value, rtol=1e-4, atol=1e-5, msg=name)


def test_a_set_of_all_real_images_is_at_no_distance(
    image_set: ImageSet,
    teacher: Teacher,
    class_statistics: ClassStatistics,
    make_distilled: Callable[..., DistilledSet],
) -> None:
    whole = replace(make_distilled(image_set, ipc=12), weights=torch.full((36,), 1 / 12))
    found = diagnose(whole, teacher, class_statistics, SETTINGS)
    for name in ("costs", "kmeans_costs", "random_costs", "random_stds", "distances", *BOUNDED):
        if name != "kernel_norms":  # of the loss, not of a distance
            assert getattr(found, name).abs().max() < 1e-4, name


def test_weights_count(distilled: DistilledSet, teacher: Teacher, class_statistics: ClassStatistics) -> None:
    equal = replace(distilled, weights=torch.full((6,), 0.5))
    one, two = (diagnose(drawn, teacher, class_statistics, SETTINGS) for drawn in (distilled, equal))
    assert not torch.equal(one.costs, two.costs)
    for yardstick in ("kmeans_costs", "random_costs", "random_stds"):
        assert torch.equal(getattr(one, yardstick), getattr(two, yardstick))


def test_k_means_has_the_starts_of_the_barycenter_stage(
    distilled: DistilledSet, teacher: Teacher, class_statistics: ClassStatistics
) -> None:
    found = diagnose(distilled, teacher, class_statistics, SETTINGS, starts=5, ctx=Context(stage="diagnose", seed=4))
    ctx = MemoryContext(stage="barycenter", seed=4)
    summary = barycenter(class_statistics, BarycenterSettings(weights="exact", iterations=300), ipc=2, ctx=ctx)
    assert torch.equal(found.kmeans_costs, summary.best_known)
    learned = barycenter(class_statistics, BarycenterSettings(), ipc=2, ctx=ctx)
    assert torch.equal(torch.minimum(found.kmeans_costs, learned.costs), learned.best_known)


def test_the_seed_decides_the_picks(
    distilled: DistilledSet, teacher: Teacher, class_statistics: ClassStatistics
) -> None:
    one, again, other = (
        diagnose(distilled, teacher, class_statistics, SETTINGS, ctx=Context(seed=seed)) for seed in (1, 1, 2)
    )
    assert same(one, again)
    assert not torch.equal(one.random_costs, other.random_costs)
    assert torch.equal(one.costs, other.costs)


@pytest.mark.parametrize("dies_after", [1, 2])
def test_a_stop_between_classes_changes_nothing(
    distilled: DistilledSet, teacher: Teacher, class_statistics: ClassStatistics, dies_after: int
) -> None:
    whole = diagnose(distilled, teacher, class_statistics, SETTINGS, ctx=MemoryContext())
    ctx = MemoryContext(dies_after=dies_after)
    with pytest.raises(KilledError):
        diagnose(distilled, teacher, class_statistics, SETTINGS, ctx=ctx)
    later = ctx.again()
    assert same(diagnose(distilled, teacher, class_statistics, SETTINGS, ctx=later), whole)
    assert [row["unit"] for row in later.rows] == [f"class {label}" for label in range(dies_after, 3)]


class Scaled(nn.Module):
    """A teacher whose logits are twice what its last layer gives."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.fc = final_classifier(inner)

    def forward(self, x: Tensor) -> Tensor:
        return 2 * self.inner(x)


class Pooled(nn.Module):
    """A teacher whose last layer sees every pixel by itself; the logits are the mean."""

    def __init__(self, teacher: Teacher) -> None:
        super().__init__()
        self.fc = nn.Linear(teacher.spec.channels, len(teacher.classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.flatten(2).transpose(1, 2)).mean(1)


def test_without_an_affine_head_there_are_no_bounds(
    distilled: DistilledSet,
    teacher: Teacher,
    class_statistics: ClassStatistics,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_bounds = diagnose(distilled, teacher, class_statistics, SETTINGS)
    monkeypatch.setattr(stage, "build_teacher", lambda *_: Scaled(build_teacher(teacher)).eval())
    ctx = MemoryContext()
    found = diagnose(distilled, teacher, class_statistics, SETTINGS, ctx=ctx)
    assert all(getattr(found, name) is None for name in BOUNDED)
    assert torch.equal(found.costs, with_bounds.costs)
    assert ctx.rows[0] == {"unit": "bounds", "left_out": "the teacher's logits are not an affine map of its features"}
    assert "head_gap" not in ctx.rows[1]


def test_a_head_that_is_pooled_afterwards_is_not_affine(
    distilled: DistilledSet, teacher: Teacher, class_statistics: ClassStatistics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "build_teacher", lambda *_: Pooled(teacher).eval())
    wide = replace(class_statistics, features=torch.randn(36, 192))
    assert diagnose(distilled, teacher, wide, SETTINGS).head_gaps is None


def test_a_head_without_bias_has_bounds(
    distilled: DistilledSet, teacher: Teacher, image_set: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build_teacher(teacher)
    final_classifier(model).register_parameter("bias", None)
    monkeypatch.setattr(stage, "build_teacher", lambda *_: model)
    found = diagnose(distilled, teacher, statistics(image_set, teacher, StatisticsSettings()), SETTINGS)
    assert found.loss_gaps is not None
    assert bool(found.loss_gaps.isfinite().all())


def test_records_of_different_runs_are_refused(
    distilled: DistilledSet, teacher: Teacher, class_statistics: ClassStatistics
) -> None:
    other = replace(distilled, classes=("a", "b", "c"))
    with pytest.raises(DataError, match="teacher and images disagree about the classes"):
        diagnose(other, teacher, class_statistics, SETTINGS)
    with pytest.raises(DataError, match="different numbers of classes; got 3 and 2; give those of one run"):
        diagnose(distilled, teacher, replace(class_statistics, counts=(12, 24)), SETTINGS)
    with pytest.raises(DataError, match="got 2 of class-1 for 1 real ones"):
        diagnose(distilled, teacher, replace(class_statistics, counts=(12, 1, 23)), SETTINGS)
    with pytest.raises(DataError, match="got 0 of class-2"):
        diagnose(replace(distilled, labels=distilled.labels.clamp(max=1)), teacher, class_statistics, SETTINGS)
