"""Records that stages read, made without running other stages."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from wmdd.data.loading import to_float
from wmdd.models import build_model, resolve_spec
from wmdd.settings import StatisticsSettings
from wmdd.stages.statistics import statistics
from wmdd.values import Barycenters, ClassStatistics, DistilledSet, ImageSet, Teacher

MEAN, STD = (0.45, 0.5, 0.55), (0.25, 0.3, 0.2)


def drawn_teacher(images: ImageSet, arch: str = "convnet2_w4_bn") -> Teacher:
    """Return a teacher that was trained for a few steps on all images at once, with running statistics of its own."""
    spec = resolve_spec(
        arch, num_classes=len(images.classes), channels=images.channels, image_size=images.image_size, stem="small"
    )
    torch.manual_seed(3)
    model = build_model(spec)
    mean, std = MEAN[: images.channels], STD[: images.channels]
    inputs = to_float(images.images.fetch(range(len(images))), mean, std)
    optimiser = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(15):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(inputs), images.labels).backward()
        optimiser.step()
    weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
    return Teacher(spec=spec, weights=weights, classes=images.classes, mean=mean, std=std, top1=0.0)


def drawn_barycenters(stats: ClassStatistics, ipc: int = 2) -> Barycenters:
    """Return the first features of each class as atoms, with unequal weights."""
    count = len(stats.counts)
    weights = torch.rand(count, ipc, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.2
    return Barycenters(
        atoms=torch.stack([stats.of_class(label)[:ipc] for label in range(count)]),
        weights=weights / weights.sum(1, keepdim=True),
        costs=torch.zeros(count, dtype=torch.float64),
        floors=torch.zeros(count, dtype=torch.float64),
        traces=((),) * count,
        converged=(True,) * count,
    )


def drawn_distilled(images: ImageSet, ipc: int = 2, method: str = "drawn") -> DistilledSet:
    """Return the first images of each class as a distilled set, with unequal weights."""
    chosen = torch.cat([images.of_class(label)[:ipc] for label in range(len(images.classes))])
    weights = torch.arange(1.0, ipc + 1) / sum(range(1, ipc + 1))
    return DistilledSet(
        method=method,
        images=images.images.fetch(chosen.tolist()),
        labels=images.labels[chosen],
        weights=weights.repeat(len(images.classes)),
        classes=images.classes,
        mean=MEAN,
        std=STD,
    )


@pytest.fixture
def make_teacher() -> Callable[..., Teacher]:
    return drawn_teacher


@pytest.fixture
def make_barycenters() -> Callable[..., Barycenters]:
    return drawn_barycenters


@pytest.fixture
def make_distilled() -> Callable[..., DistilledSet]:
    return drawn_distilled


@pytest.fixture
def teacher(image_set: ImageSet) -> Teacher:
    return drawn_teacher(image_set)


@pytest.fixture
def class_statistics(image_set: ImageSet, teacher: Teacher) -> ClassStatistics:
    return statistics(image_set, teacher, StatisticsSettings())


@pytest.fixture
def barycenters(class_statistics: ClassStatistics) -> Barycenters:
    return drawn_barycenters(class_statistics)


@pytest.fixture
def distilled(image_set: ImageSet) -> DistilledSet:
    return drawn_distilled(image_set)


@pytest.fixture
def global_stream_untouched() -> Callable[[], None]:
    """Return a check that torch's global stream stands where it stood when the test began."""
    before: Tensor = torch.get_rng_state()

    def check() -> None:
        assert torch.equal(torch.get_rng_state(), before)

    return check
