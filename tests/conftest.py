"""What every test may rely on: one thread, no network, fixed draws, and a handful of pictures in memory."""

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ.setdefault("MPLBACKEND", "agg")

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
import torch
from hypothesis import settings
from torch import Tensor

from wmdd.values import ImageSet

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


@dataclass(frozen=True, slots=True)
class HeldImages:
    """Decoded pixels behind the `Images` interface, without any of the package's own loading code."""

    pixels: Tensor
    """uint8 `(N, ch, S, S)`."""

    @property
    def in_memory(self) -> bool:
        return True

    def __len__(self) -> int:
        return len(self.pixels)

    def fetch(self, indices: Sequence[int]) -> Tensor:
        return self.pixels[list(indices)]


def drawn_set(
    *, classes: int = 3, per_class: int = 12, side: int = 8, channels: int = 3, split: str = "train", seed: int = 0
) -> ImageSet:
    """Return noisy pictures of which each class has a pattern of its own, so that networks have something to learn."""
    pattern_stream = torch.Generator().manual_seed(classes * 1000 + side)
    patterns = torch.rand(classes, channels, side, side, generator=pattern_stream)
    labels = torch.arange(classes).repeat_interleave(per_class)
    noise = torch.randn(len(labels), channels, side, side, generator=torch.Generator().manual_seed(seed))
    pixels = ((patterns[labels] + 0.15 * noise).clamp(0, 1) * 255).round().to(torch.uint8)
    return ImageSet(
        name="drawn",
        split=split,
        classes=tuple(f"class-{label}" for label in range(classes)),
        labels=labels,
        images=HeldImages(pixels),
        channels=channels,
        canvas=side,
        image_size=side,
        fingerprint=f"drawn-{classes}-{per_class}-{side}-{channels}-{split}-{seed}",
    )


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
