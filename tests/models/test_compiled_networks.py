"""Compiled networks give what they gave before, taps included; where nothing can be compiled, it is said."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.utils import counters  # pyright: ignore[reportPrivateImportUsage]
from torch._inductor import config as inductor

from wmdd.context import Context
from wmdd.errors import ConfigError
from wmdd.models import compiling as module
from wmdd.models.building import build_teacher
from wmdd.models.compiling import compiled, failures_told
from wmdd.models.differentiable_moments import batchnorm_moments
from wmdd.values import Teacher

ROUNDING = 1e-5
"""Largest difference over the largest value in fp32; 5e-7 was measured."""


@dataclass(frozen=True, kw_only=True)
class Listening(Context):
    compile: bool = True
    said: list[str] = field(default_factory=list[str])

    def warn(self, kind: str, text: str, count: int = 1) -> None:
        del kind, count
        self.said.append(text)


@pytest.fixture
def fresh_probe() -> Iterator[None]:
    module._why_not.cache_clear()  # pyright: ignore[reportPrivateUsage]
    yield
    module._why_not.cache_clear()  # pyright: ignore[reportPrivateUsage]


@pytest.mark.usefixtures("fresh_probe")
def test_without_a_compiler_the_network_runs_as_it_is(monkeypatch: pytest.MonkeyPatch, teacher: Teacher) -> None:
    def nothing(*_: Any, **__: Any) -> None:
        raise RuntimeError("No working C++ compiler found\nand more lines")

    model, ctx = build_teacher(teacher), Listening(stage="recover")
    monkeypatch.setattr(module.torch, "compile", nothing)
    assert compiled(model, ctx) is model
    (said,) = ctx.said
    assert said.startswith("recover: networks ran as they are")
    assert "(No working C++ compiler found)" in said


def test_nothing_is_compiled_unasked(monkeypatch: pytest.MonkeyPatch, teacher: Teacher) -> None:
    monkeypatch.setattr(module.torch, "compile", None)
    model = build_teacher(teacher)
    assert compiled(model, Context()) is model


@pytest.mark.slow
def test_a_compiler_that_fails_after_its_trial_is_one_line(
    monkeypatch: pytest.MonkeyPatch, teacher: Teacher, tmp_path: Path
) -> None:
    model, ctx = build_teacher(teacher), Listening()
    images = torch.zeros(6, 3, 8, 8)
    fast = compiled(model, ctx)
    assert fast is not model
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    broken = inductor.patch({"cpp.cxx": ("no-such-compiler",)})
    refusal = pytest.raises(ConfigError, match="^compile: this network cannot be compiled here; got .+leave out")
    with refusal, broken, failures_told():
        fast(images)


def test_other_failures_pass_through() -> None:
    with pytest.raises(RuntimeError, match="mine") as caught, failures_told():
        raise RuntimeError("mine")
    assert not isinstance(caught.value, ConfigError)


@pytest.mark.slow
def test_moments_and_gradients_agree_in_one_graph_for_every_step(
    teacher: Teacher,
) -> None:
    model = build_teacher(teacher)
    ctx = Listening()
    fast = compiled(model, ctx)
    counters.clear()
    for step in range(3):
        images = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(step))
        images = (step + 1) * images.contiguous(memory_format=torch.channels_last)
        for was, now in zip(passes(model, images), passes(fast, images), strict=True):
            assert (was - now).abs().max() <= ROUNDING * was.abs().max()
    assert not ctx.said
    assert counters["stats"]["unique_graphs"] == 1
    assert not counters["graph_break"]


def passes(model: nn.Module, images: Tensor) -> tuple[Tensor, ...]:
    """Return logits, features, means, variances, and the gradient of their squares to the images."""
    images = images.requires_grad_()
    with batchnorm_moments(model, torch.tensor([[0.5, 0.2, 0.3], [0.1, 0.1, 0.8]])) as tap:
        logits = model(images)
    found = (logits, tap.features, tap.means, tap.variances)
    (gradient,) = torch.autograd.grad(torch.stack([part.square().sum() for part in found]).sum(), images)
    return (*(part.detach() for part in found), gradient)
