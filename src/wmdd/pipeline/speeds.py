"""How fast this machine is here and now: seconds of an image in a network, and of a pair of images in a kernel."""

import time
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import NamedTuple

import torch

from wmdd.context import Context
from wmdd.data.views import crop_and_flip, draw_views
from wmdd.methods.algorithm import KernelWork, Work
from wmdd.models.building import build_model
from wmdd.settings import TangentKernel, TrainSettings, ViewSettings
from wmdd.training.kernels import kernel_named
from wmdd.training.optim import build_optimiser
from wmdd.values import ModelSpec

PROBE = 32
"""Images by which the cost of one is timed."""
FEW = 2
"""Images by which the cost of a step beside its images is timed."""
_PLACES = 1024
"""Places of the images by whose pairs a convolutional kernel is timed; two of 32 pixels take two seconds a core."""
PATIENCE = 4.0
"""Seconds after which a probe is no longer repeated; the first calls are slow while kernels are compiled."""


class Speed(NamedTuple):
    """Seconds that a network costs."""

    forward: float
    """For an image, forward alone."""
    both: float
    """For an image, forward and backward."""
    step: float
    """For a step of training, beside its images: views, optimiser, everything that is done once a batch."""


class Speeds(dict[str, Speed]):
    """The cost of an image in each network, timed on first use."""

    def __init__(self, networks: Mapping[str, ModelSpec], device: torch.device, precision: str) -> None:
        super().__init__()
        self._time = lambda arch: step_seconds(networks[arch], device, precision)
        self.time_pair = cache(lambda kernel, shape: pair_seconds(kernel, shape, device))

    def __missing__(self, arch: str) -> Speed:
        self[arch] = self._time(arch)
        return self[arch]

    def seconds(self, work: Iterable[Work]) -> float:
        """Return the seconds of this work."""
        return sum(
            part.forward * self[part.arch].forward
            + part.both * self[part.arch].both
            + part.steps * self[part.arch].step
            for part in work
        )

    def of_pairs(self, work: KernelWork, shape: tuple[int, int]) -> float:
        """Return the seconds of this work on images of so many channels and such a side."""
        forward, both = self.time_pair(work.kernel, shape)
        return work.forward * forward + work.both * both


def step_seconds(spec: ModelSpec, device: torch.device, precision: str) -> Speed:
    """Return the seconds that an image costs, and a step of training beside its images."""
    ctx = Context(device=device, precision=precision)
    with torch.random.fork_rng(devices=[]):
        model = build_model(spec).to(device).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        images = torch.randn(PROBE, spec.channels, spec.image_size, spec.image_size).to(device)

    optimiser = build_optimiser(model, TrainSettings(optimiser="adamw"))

    def forward(shown: torch.Tensor = images) -> torch.Tensor:
        with ctx.autocast():
            return model(shown.contiguous(memory_format=torch.channels_last)).float().sum()

    def both(shown: torch.Tensor = images) -> None:
        forward(shown).backward()

    def step() -> None:
        drawn = draw_views(torch.arange(FEW), spec.image_size, spec.image_size, ViewSettings(), ctx.generator("probe"))
        optimiser.zero_grad(set_to_none=True)
        both(crop_and_flip(images[:FEW], drawn.crop, drawn.flip, spec.image_size))
        optimiser.step()

    each = _fastest(both, device) / PROBE
    beside = _fastest(step, device) - FEW * each
    return Speed(forward=_fastest(forward, device) / PROBE, both=each, step=max(0.0, beside))


def pair_seconds(name: TangentKernel, shape: tuple[int, int], device: torch.device) -> tuple[float, float]:
    """Return the seconds that a pair of images `(channels, side)` costs in a kernel: forward, forward and backward."""
    (channels, side), kernel = shape, kernel_named(name)
    count = PROBE if name == "fc" else max(2, min(PROBE, _PLACES // side**2))
    drawn = torch.Generator().manual_seed(0)
    images = torch.randn(count, channels, side, side, generator=drawn).double().to(device)

    def forward(x: torch.Tensor = images) -> torch.Tensor:
        return kernel(x, images)

    def both() -> None:
        forward(images.detach().requires_grad_()).sum().backward()

    return _fastest(forward, device) / count**2, _fastest(both, device) / count**2


def _fastest(work: Callable[[], object], device: torch.device) -> float:
    """Return the seconds of the fastest of at least three calls."""
    spans: list[float] = []
    while len(spans) < 3 or (sum(spans) < PATIENCE and len(spans) < 20):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        spans.append(time.perf_counter() - start)
    return min(spans)
