"""What lies below the floor of `benchmarks/ratios.py`: ways to make a network's own passes cheaper, each against none.

    python -m benchmarks.below [--parts heap compiled ...] [--networks ...] [--sides 32 64] [--batch 50] [--out FILE]

- heap: the heap kept from step to step (`wmdd.pipeline.heap`), against what the C library does by itself.
- compiled: `torch.compile` with static shapes: a step of recover with BatchNorm moments, a student's step, and the
  teacher's answers alone; with the seconds that the first pass takes.
- folded: the teacher's answers with BatchNorm folded into its convolutions (`torch.fx`).
- batched: the teacher's answers to four batches at once, against four times one.

Figures are processor seconds on one thread, which other load on the machine disturbs less than those of a clock; the
two sides alternate, medians are taken over the rounds. All but the first part run with the heap kept. Beside a ratio
stands how far both sides' results are apart (largest difference over the largest value) and, for the teacher's answers,
which are a part of a student's step under online labels, by how much of that whole step they make it shorter.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import torch
from benchmarks.rows import Row, command_of, machine, write_rows
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse

from wmdd.context import Context
from wmdd.models.building import build_model, resolve_spec
from wmdd.models.compiling import compiled
from wmdd.models.differentiable_moments import batchnorm_moments
from wmdd.pipeline.heap import heap_kept
from wmdd.settings import TrainSettings
from wmdd.training.losses import distillation_loss
from wmdd.training.optim import build_optimiser

CLASSES, PER_CLASS, TOGETHER, PASSES = 10, 2, 4, 5
"""Classes; images of one in a pool of moments; batches that the teacher answers at once; passes timed with one heap."""
TEMPERATURE = 20.0
Work = Callable[[], Tensor]
"""A pass or step, and what it yields."""
Pair = tuple[Work, Work]
"""It as it is, and as it may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A network, its images, and the precision at which it computes."""

    arch: str
    side: int
    batch: int
    precision: str

    @property
    def text(self) -> str:
        """In words."""
        return f"{self.arch} {self.side} px {self.precision}, {self.batch} images"

    def network(self) -> nn.Module:
        """Return the random network of this case, in train mode; always the same."""
        torch.manual_seed(0)
        stem = "imagenet" if self.side >= 64 else "auto"
        spec = resolve_spec(self.arch, num_classes=CLASSES, channels=3, image_size=self.side, stem=stem)
        return build_model(spec).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def teacher(self) -> nn.Module:
        """Return it in eval mode, frozen, its BatchNorm layers with moments of noise."""
        model = self.network()
        with torch.no_grad():
            model(self.images())
        return model.eval().requires_grad_(False)

    def images(self, batches: int = 1) -> Tensor:
        """Return random images `(batches · batch, 3, side, side)`."""
        count = batches * self.batch
        images = torch.randn(count, 3, self.side, self.side, generator=torch.Generator().manual_seed(1))
        return images.contiguous(memory_format=torch.channels_last)


def answers(model: nn.Module, images: Tensor, case: Case) -> Work:
    """Return the teacher's pass over a batch, as under online labels."""

    def work() -> Tensor:
        with torch.no_grad(), Context(precision=case.precision).autocast():
            return model(images).float()

    return work


def recover_step(case: Case, *, compile: bool = False) -> Work:  # noqa: A002 - the setting's name
    """Return the passes of a step of recover: logits, features, moments, and the gradient to the images."""
    ctx = Context(precision=case.precision, compile=compile)
    model, images = compiled(case.teacher(), ctx), case.images().requires_grad_()
    weights = torch.full((case.batch // PER_CLASS, PER_CLASS), 1 / PER_CLASS)

    def work() -> Tensor:
        with batchnorm_moments(model, weights) as tap, ctx.autocast():
            logits = model(images).float()
        moments = tap.means.square().sum() + tap.variances.square().sum()
        loss = logits.logsumexp(1).sum() + tap.features.float().square().sum() + 1e-3 * moments
        return torch.autograd.grad(loss, images)[0]

    return work


def student_step(case: Case, *, compile: bool = False) -> Work:  # noqa: A002 - the setting's name
    """Return a student's training step on answers that are there; yields its logits."""
    ctx, model = Context(precision=case.precision, compile=compile), case.network().train()
    run, optimiser = compiled(model, ctx), build_optimiser(model, TrainSettings(optimiser="adamw"))
    targets, weights = torch.randn(case.batch, CLASSES), torch.ones(case.batch)
    images = case.images()

    def work() -> Tensor:
        with ctx.autocast():
            logits = run(images).float()
        optimiser.zero_grad(set_to_none=True)
        distillation_loss(logits, targets, weights, TEMPERATURE).backward()
        optimiser.step()
        return logits.detach()

    return work


def repeated(work: Work) -> Work:
    """Return several passes, after which what they freed is given back."""
    return lambda: [work() for _ in range(PASSES)][-1]


def kept(work: Work) -> Work:
    """Return a work under a kept heap."""

    def inside() -> Tensor:
        with heap_kept():
            return work()

    return inside


def heap(case: Case) -> Iterator[tuple[str, Pair]]:
    """Yield passes with the C library's heap, and with a kept one."""
    model, images = case.teacher(), case.images()
    for name, work in (
        ("answers", lambda: answers(model, images, case)),
        ("recover", lambda: recover_step(case)),
        ("student", lambda: student_step(case)),
    ):
        yield name, (repeated(work()), kept(repeated(work())))


def compiling(case: Case) -> Iterator[tuple[str, Pair]]:
    """Yield passes as they are and compiled."""
    yield "recover", (recover_step(case), recover_step(case, compile=True))
    yield "student", (student_step(case), student_step(case, compile=True))
    model, images, ctx = case.teacher(), case.images(), Context(precision=case.precision, compile=True)
    yield "answers", (answers(model, images, case), answers(compiled(model, ctx), images, case))


def folding(case: Case) -> Iterator[tuple[str, Pair]]:
    """Yield the teacher's answers as they are and with BatchNorm folded."""
    model, images = case.teacher(), case.images()
    folded = fuse(model).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    yield "answers", (answers(model, images, case), answers(folded, images, case))


def batching(case: Case) -> Iterator[tuple[str, Pair]]:
    """Yield the teacher's answers to four batches, one by one and at once."""
    model, together = case.teacher(), case.images(TOGETHER)
    single = [answers(model, images, case) for images in together.split(case.batch)]
    yield f"answers to {TOGETHER}", (lambda: torch.cat([work() for work in single]), answers(model, together, case))


PARTS = {"heap": heap, "compiled": compiling, "folded": folding, "batched": batching}


def compared(pair: Pair, rounds: int) -> tuple[float, float, str]:
    """Return both sides' median seconds, and in words how long the first pass took and how far results are apart."""
    plain, changed = pair
    start = time.process_time()
    first = changed()
    seconds = time.process_time() - start
    was = plain()
    apart = float((was - first).abs().max() / was.abs().max())
    times = [(_seconds(plain), _seconds(changed)) for _ in range(rounds)]
    before, now = (statistics.median(side) for side in zip(*times, strict=True))
    text = f"{1e3 * now:.1f} against {1e3 * before:.1f} ms; apart {apart:.1e}"
    return before, now, text + (f"; first {seconds:.1f} s" if seconds > 1 + 2 * before else "")


def rows(part: str, case: Case, rounds: int) -> Iterator[Row]:
    """Yield the rows of a part."""
    for name, pair in PARTS[part](case):
        before, now, about = compared(pair, rounds)
        if name.startswith("answers") and part != "heap":
            batches = TOGETHER if part == "batched" else 1
            _, student, _ = compared((step := student_step(case), step), 3)
            about += f"; {100 * (before - now) / (before + batches * student):.1f} % of a student's step"
        yield Row(part=part, name=f"{name}, {case.text}", value=now / before, unit="of plain", about=about)


def table(cases: list[Case], parts: list[str], rounds: int) -> Iterator[Row]:
    """Yield all rows as they are measured."""
    for case, part in product(cases, parts):
        if part == "heap":
            yield from rows(part, case, rounds)
            continue
        with heap_kept():
            yield from rows(part, case, rounds)


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--networks", nargs="+", default=["convnet3_w64_bn", "resnet18"])
    parser.add_argument("--sides", nargs="+", type=int, default=[32, 64])
    parser.add_argument("--batch", nargs="+", type=int, default=[50])
    parser.add_argument("--precisions", nargs="+", choices=("fp32", "bf16"), default=["fp32", "bf16"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    about, found = machine(torch.device("cpu")), list[Row]()
    wanted = product(given.networks, given.sides, given.batch, given.precisions)
    cases = [Case(arch=arch, side=side, batch=batch, precision=precision) for arch, side, batch, precision in wanted]
    for row in table(cases, given.parts, given.rounds):
        print(row, flush=True)
        found.append(row)
    if given.out:
        write_rows(given.out, found, command_of("below"), about)


def _seconds(work: Work) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    main()
