"""Statistics: exact moments of every class, whatever the batch, against a float64 pass over everything at once."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from memory_context import KilledError, MemoryContext
from wmdd.artifacts.folder import ResultFolder
from wmdd.context import Context
from wmdd.errors import DataError, NumericsError
from wmdd.models.building import build_teacher
from wmdd.settings import StatisticsSettings
from wmdd.stages.statistics import statistics
from wmdd.values import ClassStatistics, Images, ImageSet, Teacher


def oracle(images: ImageSet, teacher: Teacher) -> tuple[Tensor, Tensor, Tensor]:
    """Return features `(N, D)` class by class, means and variances `(C, F)`, in float64 with hooks of its own."""
    model = build_teacher(teacher).double()
    mean = torch.tensor(teacher.mean, dtype=torch.float64).view(1, -1, 1, 1)
    std = torch.tensor(teacher.std, dtype=torch.float64).view(1, -1, 1, 1)
    inputs: list[Tensor] = []
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    features, means, variances = [], [], []
    for label in range(len(images.classes)):
        inputs.clear()
        pixels = images.images.fetch(images.of_class(label).tolist()).double() / 255
        margin = (images.canvas - images.image_size) // 2
        pixels = pixels[..., margin : margin + images.image_size, margin : margin + images.image_size]
        with torch.no_grad():
            features.append(model.get_submodule("blocks")((pixels - mean) / std).flatten(1))
        flat = [values.transpose(0, 1).flatten(1) for values in inputs]
        means.append(torch.cat([values.mean(1) for values in flat]))
        variances.append(torch.cat([values.var(1, unbiased=False) for values in flat]))
    return torch.cat(features), torch.stack(means), torch.stack(variances)


def assert_equals_oracle(found: ClassStatistics, expected: tuple[Tensor, Tensor, Tensor]) -> None:
    features, means, variances = expected
    torch.testing.assert_close(found.features.double(), features, rtol=1e-5, atol=1e-5)
    spread = variances.sqrt()
    assert float(((found.means - means).abs() / spread).max()) < 1e-6
    assert float(((found.variances - variances).abs() / variances).max()) < 1e-6


@pytest.mark.parametrize("batch", [1, 7, 100])
def test_moments_equal_a_float64_pass_at_every_batch(batch: int, image_set: ImageSet, teacher: Teacher) -> None:
    found = statistics(image_set, teacher, StatisticsSettings(batch=batch))
    assert_equals_oracle(found, oracle(image_set, teacher))
    assert found.counts == (12, 12, 12)
    assert found.widths == (4, 4)
    assert found.layers == ("blocks.1", "blocks.5")
    assert found.means.dtype == found.variances.dtype == torch.float64


@dataclass(frozen=True)
class Reordered:
    images: Images
    order: Tensor

    @property
    def in_memory(self) -> bool:
        return False

    def __len__(self) -> int:
        return len(self.order)

    def fetch(self, indices: list[int]) -> Tensor:
        return self.images.fetch(self.order[list(indices)].tolist())


def test_moments_do_not_depend_on_the_order_of_the_images(image_set: ImageSet, teacher: Teacher) -> None:
    order = torch.randperm(len(image_set))
    mixed = replace(image_set, labels=image_set.labels[order], images=Reordered(image_set.images, order))
    one, other = (statistics(images, teacher, StatisticsSettings(batch=5)) for images in (image_set, mixed))
    torch.testing.assert_close(one.means, other.means, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(one.variances, other.variances, rtol=1e-6, atol=1e-8)
    for label in range(3):
        rows = torch.argsort(order[mixed.of_class(label)])
        torch.testing.assert_close(other.of_class(label)[rows], one.of_class(label), rtol=1e-5, atol=1e-6)


def test_networks_see_the_centre_of_a_larger_canvas(
    make_image_set: Callable[..., ImageSet], make_teacher: Callable[..., Teacher], image_set: ImageSet
) -> None:
    large = replace(make_image_set(side=10, per_class=5), image_size=8)
    teacher = make_teacher(image_set)
    assert_equals_oracle(statistics(large, teacher, StatisticsSettings()), oracle(large, teacher))


def test_killed_and_resumed_equals_unbroken_bit_for_bit(image_set: ImageSet, teacher: Teacher) -> None:
    unbroken = statistics(image_set, teacher, StatisticsSettings())
    dying = MemoryContext(dies_after=2)
    with pytest.raises(KilledError):
        statistics(image_set, teacher, StatisticsSettings(), ctx=dying)
    second = dying.again()
    resumed = statistics(image_set, teacher, StatisticsSettings(), ctx=second)
    for name in ("features", "means", "variances"):
        assert torch.equal(getattr(resumed, name), getattr(unbroken, name))
    assert "class-00001" not in second.saves
    assert second.steps[-1] == (3, 3)


def test_neither_seed_nor_precision_counts(image_set: ImageSet, teacher: Teacher) -> None:
    one = statistics(image_set, teacher, StatisticsSettings())
    other = statistics(image_set, teacher, StatisticsSettings(), ctx=Context(seed=9, precision="bf16"))
    assert torch.equal(one.features, other.features)
    assert torch.equal(one.means, other.means)


def test_a_teacher_of_another_class_order_is_refused(image_set: ImageSet, teacher: Teacher) -> None:
    turned = replace(teacher, classes=teacher.classes[::-1])
    with pytest.raises(DataError, match=r"disagree about the classes; got 3 classes \(class-2, class-1, class-0\)"):
        statistics(image_set, turned, StatisticsSettings())


@pytest.mark.parametrize("arch", ["convnet1_w4", "convnet1_w4_in"])
def test_a_teacher_without_batchnorm_gives_features_alone(
    arch: str, image_set: ImageSet, make_teacher: Callable[..., Teacher], tmp_path: Path
) -> None:
    found = statistics(image_set, make_teacher(image_set, arch), StatisticsSettings())
    assert found.features.shape == (36, 16 * 4)
    assert found.layers == ()
    assert found.means.shape == found.variances.shape == (3, 0)
    folder = ResultFolder(path=tmp_path / "statistics-0")
    with folder.claimed():
        folder.commit(found, {})
    assert torch.equal(folder.read(ClassStatistics).features, found.features)
    assert folder.read(ClassStatistics).means.shape == (3, 0)


def test_features_that_are_not_finite_are_said_with_class_and_layer(image_set: ImageSet, teacher: Teacher) -> None:
    broken = {name: value.clone() for name, value in teacher.weights.items()}
    name = next(name for name in broken if name.endswith("running_var"))
    broken[name][0] = float("nan")
    with pytest.raises(NumericsError, match=f"images of class 'class-0', and its weights {name} are not finite"):
        statistics(image_set, replace(teacher, weights=broken), StatisticsSettings())
