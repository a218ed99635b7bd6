"""What the two heavy stages add to the bare network, as ratios of times.

    python benchmarks/ratios.py [--rounds 10] [--precisions fp32 bf16] [--threads 2]

- recovery: one step (view, forward with moments and features, losses, backward to the images, Adam, clip) against the
  bare teacher's forward and backward to its input, at the same precision. Limit 1.6.
- statistics: features and moments of a batch against the bare forward, fp32. Limit 1.3.

ResNet-18 with ImageNet's stem at 64 pixels, 100 images in 10 classes a step. The two sides alternate within a round,
so that other load on the machine meets both; the figures are medians over the rounds.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wmdd.context import Context
from wmdd.data.views import draw_views, look
from wmdd.models import batchnorm_moments, batchnorm_widths, build_model, resolve_spec, tap_batchnorm, tap_features
from wmdd.settings import ViewSettings

SIZE, CLASSES, PER_CLASS = 64, 10, 10
RECOVERY_LIMIT, STATISTICS_LIMIT = 1.6, 1.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """Median seconds of the two sides of a comparison."""

    full: float
    bare: float

    @property
    def value(self) -> float:
        """How many times the bare side the full side takes."""
        return self.full / self.bare


def recovery_step(model: nn.Module, ctx: Context) -> Callable[[], None]:
    """Return one step of recovery on random targets."""
    images = torch.randn(CLASSES * PER_CLASS, 3, SIZE, SIZE, device=ctx.device, requires_grad=True)
    optimiser = torch.optim.Adam([images], lr=0.25, betas=(0.5, 0.9), fused=True)
    weights = torch.full((CLASSES, PER_CLASS), 1 / PER_CLASS, device=ctx.device)
    atoms = torch.randn(len(images), 512, device=ctx.device)
    targets = torch.randn(2, CLASSES, sum(batchnorm_widths(model)), device=ctx.device)
    generator = torch.Generator().manual_seed(0)

    def step() -> None:
        views = draw_views(torch.arange(len(images)), SIZE, SIZE, ViewSettings(), generator)
        with batchnorm_moments(model, weights) as tap, ctx.autocast():
            model(look(images, views.crop, views.flip, SIZE))
        feature_loss = (tap.features.float() - atoms).square().sum(1).mean()
        bn_loss = (tap.means - targets[0]).square().sum() + (tap.variances - targets[1]).square().sum()
        optimiser.zero_grad()
        (feature_loss + 0.1 * bn_loss).backward()
        optimiser.step()
        with torch.no_grad():
            images.clamp_(-2, 2)

    return step


def bare_step(model: nn.Module, ctx: Context) -> Callable[[], None]:
    """Return the teacher's forward and backward to its input."""
    images = torch.randn(CLASSES * PER_CLASS, 3, SIZE, SIZE, device=ctx.device, requires_grad=True)

    def step() -> None:
        with ctx.autocast():
            logits = model(images)
        torch.autograd.grad(logits.float().sum(), images)

    return step


def statistics_step(model: nn.Module, images: Tensor) -> Callable[[], None]:
    """Return one batch of the statistics pass: features, and every layer's moments merged into running ones."""
    from wmdd.ot import Moments

    merged: dict[int, Moments] = {}

    def take(position: int, x: Tensor) -> None:
        new = Moments.of(x)
        merged[position] = merged[position].merge(new) if position in merged else new

    def step() -> None:
        with torch.inference_mode(), tap_features(model), tap_batchnorm(model, take):
            model(images)

    return step


def bare_forward(model: nn.Module, images: Tensor) -> Callable[[], None]:
    """Return the teacher's forward."""

    def step() -> None:
        with torch.inference_mode():
            model(images)

    return step


def compare(full: Callable[[], None], bare: Callable[[], None], rounds: int, device: torch.device) -> Ratio:
    """Time the two in turn, after two rounds of warming up."""
    times = [(_seconds(full, device), _seconds(bare, device)) for _ in range(rounds + 2)][2:]
    return Ratio(full=statistics.median(a for a, _ in times), bare=statistics.median(b for _, b in times))


def teacher(device: torch.device) -> nn.Module:
    """Return an untrained ResNet-18 as `build_teacher` lays it out."""
    spec = resolve_spec("resnet18", num_classes=CLASSES, channels=3, image_size=SIZE, stem="imagenet")
    model = build_model(spec).eval().requires_grad_(False).to(device)
    return model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def main() -> None:
    """Print both ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--precisions", nargs="+", choices=("fp32", "bf16"), default=("fp32", "bf16"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    device = torch.device(given.device)
    model = teacher(device)
    for precision in given.precisions:
        ctx = Context(device=device, precision=precision)
        ratio = compare(recovery_step(model, ctx), bare_step(model, ctx), given.rounds, device)
        _show(f"recovery step / forward + backward to the input, {precision}", ratio, RECOVERY_LIMIT)
    images = torch.randn(CLASSES * PER_CLASS, 3, SIZE, SIZE, device=device)
    ratio = compare(statistics_step(model, images), bare_forward(model, images), given.rounds, device)
    _show("statistics pass / forward, fp32", ratio, STATISTICS_LIMIT)


def _seconds(step: Callable[[], None], device: torch.device) -> float:
    start = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def _show(name: str, ratio: Ratio, limit: float) -> None:
    print(f"{name}: {ratio.value:.2f} (limit {limit}; {1e3 * ratio.full:.0f} ms against {1e3 * ratio.bare:.0f} ms)")


if __name__ == "__main__":
    main()
