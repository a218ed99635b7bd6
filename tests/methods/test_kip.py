"""KIP and label solve: they predict real images better than random ones do; targets, resume, seeds."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import Tensor

from memory_context import KilledError, MemoryContext
from wmdd.context import Context
from wmdd.data.loading import to_float
from wmdd.data.whitening import whitened
from wmdd.errors import ConfigError
from wmdd.methods.kip import KipSettings
from wmdd.methods.kip.distill import kip
from wmdd.methods.ls import LabelSolveSettings
from wmdd.methods.ls.distill import label_solve
from wmdd.settings import Whitening
from wmdd.training.kernels import kernel_named
from wmdd.training.ntk import centred_classes, regression_loss
from wmdd.values import DistilledSet, ImageSet, Teacher


def settings(**changes: Any) -> KipSettings:
    return KipSettings(**{"iterations": 5, "batch": 12, **changes})


def same(one: DistilledSet, other: DistilledSet) -> bool:
    pairs = [(getattr(one, each.name), getattr(other, each.name)) for each in fields(DistilledSet)]
    return all(torch.equal(a, b) if isinstance(a, Tensor) and b is not None else a == b for a, b in pairs)


def error(images: Tensor, targets: Tensor, real: ImageSet, teacher: Teacher) -> float:
    """Return KIP's loss on all real images."""
    queries = to_float(real.images.fetch(range(len(real))), teacher.mean, teacher.std)
    return float(regression_loss(images, targets, queries, centred_classes(real.labels, 3)))


@pytest.mark.parametrize("ipc", [1, 3])
@pytest.mark.parametrize("learn_labels", [False, True])
def test_optimised_images_predict_better(image_set: ImageSet, teacher: Teacher, ipc: int, learn_labels: bool) -> None:
    few, many = (
        kip(image_set, teacher, settings(iterations=steps, learn_labels=learn_labels), ipc=ipc) for steps in (1, 40)
    )
    assert (many.targets is not None) == learn_labels
    losses = []
    for found in (few, many):
        assert found.exact is not None
        assert found.exact.dtype == torch.float32
        targets = centred_classes(found.labels, 3) if found.targets is None else found.targets
        losses.append(error(found.exact, targets, image_set, teacher))
    assert losses[1] < 0.8 * losses[0]


def test_a_whitened_set_is_optimised_as_networks_see_it(image_set: ImageSet, teacher: Teacher) -> None:
    found = kip(image_set, teacher, settings(iterations=40, zca="standardised"), ipc=2)
    assert found.exact is not None
    assert found.whitening is not None
    plain = kip(image_set, teacher, settings(iterations=1, lr=1e-9), ipc=2)
    start = kip(image_set, teacher, settings(iterations=1, lr=1e-9, zca="standardised"), ipc=2)
    assert (start.images.int() - plain.images.int()).abs().max() <= 1  # carried back, it begins as real images
    targets, losses = centred_classes(found.labels, 3), []
    queries = to_float(image_set.images.fetch(range(len(image_set))), teacher.mean, teacher.std)
    for each in (start, found):
        assert each.exact is not None
        seen = [whitened(images, found.whitening) for images in (each.exact, queries)]
        losses.append(float(regression_loss(seen[0], targets, seen[1], centred_classes(image_set.labels, 3))))
    assert losses[1] < 0.8 * losses[0]


def test_labels_that_are_not_learned_stay_out(image_set: ImageSet, teacher: Teacher) -> None:
    found = kip(image_set, teacher, settings(), ipc=2)
    assert found.targets is None
    assert found.rates is None
    assert found.labels.tolist() == [0, 0, 1, 1, 2, 2]


def test_label_solve_keeps_real_images_and_is_the_optimum(image_set: ImageSet, teacher: Teacher) -> None:
    found = label_solve(image_set, teacher, LabelSolveSettings(), ipc=2)
    pool = image_set.images.fetch(range(len(image_set)))
    assert bool((found.images[:, None] == pool[None]).flatten(2).all(2).any(1).all())
    assert found.exact is None
    assert found.targets is not None
    assert found.targets.shape == (6, 3)
    support = to_float(found.images, teacher.mean, teacher.std)
    best = error(support, found.targets, image_set, teacher)
    assert best < error(support, centred_classes(found.labels, 3), image_set, teacher)
    stream = torch.Generator().manual_seed(0)
    for _ in range(10):
        other = found.targets + 0.01 * torch.randn(6, 3, generator=stream)
        assert error(support, other, image_set, teacher) > best


@pytest.mark.parametrize("zca", ["none", "standardised"])
def test_the_chosen_kernel_is_the_one_that_learns(image_set: ImageSet, teacher: Teacher, zca: Whitening) -> None:
    few, many = (
        kip(image_set, teacher, settings(iterations=steps, lr=lr, kernel="convnet2", zca=zca), ipc=1)
        for steps, lr in ((1, 1e-9), (25, 0.04))
    )
    solved = label_solve(image_set, teacher, LabelSolveSettings(kernel="convnet2", zca=zca), ipc=1)
    queries = to_float(image_set.images.fetch(range(len(image_set))), teacher.mean, teacher.std)

    def loss(found: DistilledSet, targets: Tensor) -> float:
        assert found.kernel == "convnet2"
        assert (found.whitening is None) == (zca == "none")
        images = to_float(found.images, teacher.mean, teacher.std) if found.exact is None else found.exact
        seen = [whitened(each, found.whitening) for each in (images, queries)]
        answers, kernel = centred_classes(image_set.labels, 3), kernel_named("convnet2")
        return float(regression_loss(seen[0], targets, seen[1], answers, kernel=kernel))

    classes = centred_classes(few.labels, 3)
    assert loss(many, classes) < 0.9 * loss(few, classes)
    assert solved.targets is not None
    assert loss(solved, solved.targets) < loss(solved, classes)


@pytest.mark.parametrize("killed_after", [1, 3])
def test_a_kill_changes_nothing(image_set: ImageSet, teacher: Teacher, killed_after: int) -> None:
    chosen = settings(learn_labels=True)
    unbroken = kip(image_set, teacher, chosen, ipc=2, ctx=MemoryContext())
    dying = MemoryContext(dies_after=killed_after)
    with pytest.raises(KilledError):
        kip(image_set, teacher, chosen, ipc=2, ctx=dying)
    assert dying.kept["images"].tensors["variable/images"].dtype == torch.float64
    assert same(kip(image_set, teacher, chosen, ipc=2, ctx=dying.again()), unbroken)


@pytest.mark.parametrize("method", ["kip", "ls"])
def test_the_seed_decides(
    image_set: ImageSet, teacher: Teacher, method: str, global_stream_untouched: Callable[[], None]
) -> None:
    def made(seed: int) -> DistilledSet:
        if method == "kip":
            return kip(image_set, teacher, settings(), ipc=2, ctx=Context(seed=seed))
        return label_solve(image_set, teacher, LabelSolveSettings(), ipc=2, ctx=Context(seed=seed))

    assert same(made(1), made(1))
    assert not torch.equal(made(1).images, made(2).images)
    assert made(1).method == method
    global_stream_untouched()


def test_a_device_without_float64_is_refused(image_set: ImageSet, teacher: Teacher) -> None:
    ctx = Context(device=torch.device("mps"))
    for made in (
        lambda: kip(image_set, teacher, settings(), ipc=1, ctx=ctx),
        lambda: label_solve(image_set, teacher, LabelSolveSettings(), ipc=1, ctx=ctx),
    ):
        with pytest.raises(ConfigError, match="needs float64; got device mps; use --device cpu"):
            made()
