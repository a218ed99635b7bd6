"""What every test may rely on: one thread, no network, fixed draws, and a handful of pictures in memory."""

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ.setdefault("MPLBACKEND", "agg")

from collections.abc import Callable

import pytest
import torch
from hypothesis import settings
from torch import Tensor

from drawn import drawn_distilled, drawn_set, drawn_teacher
from wmdd.settings import StatisticsSettings
from wmdd.stages.statistics import statistics
from wmdd.values import ClassStatistics, DistilledSet, ImageSet, Teacher

torch.set_num_threads(1)
settings.register_profile("ci", derandomize=True, deadline=None)
settings.load_profile("ci")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where there is none, and say so."""
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="needs CUDA, and torch finds no CUDA device on this machine"))


@pytest.fixture(autouse=True)
def fixed_draws() -> None:
    """Start torch's global stream anew, so that a test which draws its inputs from it gets the same ones every time."""
    torch.manual_seed(0)


@pytest.fixture
def make_image_set() -> Callable[..., ImageSet]:
    """Return `drawn_set`, for tests that want other sizes."""
    return drawn_set


@pytest.fixture
def image_set() -> ImageSet:
    """Training pictures: 3 classes x 12 images, 3 x 8 x 8."""
    return drawn_set()


@pytest.fixture
def val_set() -> ImageSet:
    """Pictures of the same classes that `image_set` does not hold."""
    return drawn_set(per_class=4, split="val", seed=1)


@pytest.fixture
def make_teacher() -> Callable[..., Teacher]:
    return drawn_teacher


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
def distilled(image_set: ImageSet) -> DistilledSet:
    return drawn_distilled(image_set)


@pytest.fixture
def global_stream_untouched() -> Callable[[], None]:
    """Return a check that torch's global stream stands where it stood when the test began."""
    before: Tensor = torch.get_rng_state()

    def check() -> None:
        assert torch.equal(torch.get_rng_state(), before)

    return check
