"""G-VBSM: targets and losses against sums written out, teachers in turn, moving averages through a kill."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from memory_context import KilledError, MemoryContext
from wmdd.context import Context
from wmdd.data.loading import to_float
from wmdd.methods.gvbsm import GvbsmSettings
from wmdd.methods.gvbsm.distill import recover_gvbsm
from wmdd.methods.gvbsm.layer_statistics import as_channels, layer_statistics, statistic_layers
from wmdd.methods.gvbsm.terms import CommitteeForward, committee_loss, densification, layer_targets
from wmdd.models.building import build_teacher
from wmdd.models.committee import Committee
from wmdd.models.taps import tap_inputs
from wmdd.settings import StatisticsSettings
from wmdd.stages.recovery.groups import Group
from wmdd.stages.recovery.loss import GroupLoss
from wmdd.values import ImageSet, LayerStatistics, Teacher

CPU = torch.device("cpu")
Given = tuple[ImageSet, tuple[Teacher, ...], tuple[LayerStatistics, ...]]


@pytest.fixture
def given(image_set: ImageSet, make_teacher: Callable[..., Teacher]) -> Given:
    teachers = tuple(make_teacher(image_set, arch) for arch in ("convnet2_w4_bn", "convnet1_w8_bn"))
    return image_set, teachers, tuple(layer_statistics(image_set, each, StatisticsSettings()) for each in teachers)


def settings(**changes: object) -> GvbsmSettings:
    return GvbsmSettings(**{"iterations": 6, "lr": 0.25, "crop_min": 1.0, "flip": False, "roll": 0, **changes})


def layer_inputs(teacher: Teacher, images: Tensor) -> list[tuple[str, str, Tensor]]:
    """Return (layer, kind, values) of each term for a batch."""
    model, found = build_teacher(teacher), []
    layers = statistic_layers(model)

    def take(position: int, x: Tensor) -> None:
        name, _, kinds = layers[position]
        found.extend((name, kind, as_channels(x, kind)) for kind in kinds)

    with tap_inputs((layer for _, layer, _ in layers), take):
        model(images)
    return found


def naive_moments(values: Tensor) -> tuple[Tensor, Tensor]:
    flat = values.double().transpose(0, 1).flatten(1)
    return flat.mean(1), flat.var(1, correction=0)


def test_targets_are_the_moments_over_all_images(given: Given) -> None:
    images, teachers, found = given
    real = to_float(images.images.fetch(range(36)), teachers[0].mean, teachers[0].std)
    for teacher, stats in zip(teachers, found, strict=True):
        terms = layer_inputs(teacher, real)
        assert stats.layers == tuple(name for name, _, _ in terms)
        assert stats.kinds == tuple(kind for _, kind, _ in terms)
        assert stats.widths == tuple(values.shape[1] for _, _, values in terms)
        means, variances = zip(*(naive_moments(values) for _, _, values in terms), strict=True)
        torch.testing.assert_close(stats.means, torch.cat(means), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(stats.variances, torch.cat(variances), rtol=1e-5, atol=1e-6)


def test_targets_do_not_depend_on_the_batch_and_survive_a_kill(given: Given) -> None:
    images, teachers, (stats, _) = given
    dying = MemoryContext(dies_after=2)
    with pytest.raises(KilledError):
        layer_statistics(images, teachers[0], StatisticsSettings(), ctx=dying)
    again = layer_statistics(images, teachers[0], StatisticsSettings(), ctx=dying.again())
    assert torch.equal(again.means, stats.means)
    assert again.widths == stats.widths
    other = layer_statistics(images, teachers[0], StatisticsSettings(batch=5))
    torch.testing.assert_close(other.variances, stats.variances, rtol=1e-5, atol=1e-7)


def loss_of(given: Given, chosen: GvbsmSettings, group: Group) -> GroupLoss[CommitteeForward]:
    _, teachers, stats = given
    targets = [layer_targets(each, chosen.first, CPU) for each in stats]
    return committee_loss(Committee(teachers, CPU).eval(), targets, group, chosen, Context())


def test_the_first_step_is_the_loss_written_out(given: Given) -> None:
    _, teachers, found = given
    chosen, group, images = settings(drop=0.0), Group(labels=(0, 1, 2), ipc=2), torch.randn(6, 3, 8, 8)
    loss = loss_of(given, chosen, group)(images, 0)
    entropy = F.cross_entropy(build_teacher(teachers[0])(images), torch.tensor([0, 0, 1, 1, 2, 2]))
    norms, start = 0.0, 0
    for name, _, values in layer_inputs(teachers[0], images):
        mean, variance = naive_moments(values)
        rows = slice(start, start + len(mean))
        start += len(mean)
        factor = 10 if name == found[0].layers[0] else 1
        norms += factor * float((mean - found[0].means[rows]).norm() + (variance - found[0].variances[rows]).norm())
    density = float(densification(images.view(3, 2, 3, 8, 8), 4.0))
    assert float(loss.columns["ce_loss"]) == pytest.approx(float(entropy), rel=1e-5)
    assert float(loss.columns["bn_loss"]) == pytest.approx(norms, rel=1e-4)
    assert float(loss.columns["density_loss"]) == pytest.approx(density, rel=1e-5)
    assert float(loss.total) == pytest.approx(float(entropy) + 0.01 * norms + density, rel=1e-5)


def test_all_images_have_no_statistics_loss(given: Given) -> None:
    images, teachers, _ = given
    real = to_float(images.images.fetch(range(36)), teachers[0].mean, teachers[0].std)
    loss = loss_of(given, settings(), Group(labels=(0, 1, 2), ipc=12))
    assert all(float(loss(real, step).columns["bn_loss"]) < 1e-3 for step in range(4))


def test_teachers_take_turns_and_convolutions_sit_out(given: Given) -> None:
    loss = loss_of(given, settings(drop=0.5), Group(labels=(0, 1), ipc=1))
    images = torch.randn(2, 3, 8, 8)
    for step in range(40):
        loss(images, step)
    for number, stats in enumerate(given[2]):
        assert loss.carried is not None
        steps = loss.carried.tensors()[f"{number}.mean.steps"].split(list(stats.widths))
        counts = [int(part[0]) for part in steps]
        assert all(len(part.unique()) == 1 for part in steps)
        layers = dict(zip(stats.layers, counts, strict=True))
        convolutions = {layer for layer, kind in zip(stats.layers, stats.kinds, strict=True) if kind == "patches"}
        assert all(count == 20 for layer, count in layers.items() if layer not in convolutions)
        assert all(3 <= layers[layer] <= 17 for layer in convolutions)
        by_layer = {
            layer: {count for name, count in zip(stats.layers, counts, strict=True) if name == layer}
            for layer in layers
        }
        assert all(len(found) == 1 for found in by_layer.values())  # both kinds of a layer together


def test_the_gradient_of_the_statistics_reaches_the_images_at_every_visit(given: Given) -> None:
    loss = loss_of(given, settings(density=0.0), Group(labels=(0, 1), ipc=1))
    alone = replace(loss, terms=[term for term in loss.terms if term.name == "bn_loss"])
    for step in range(4):
        images = torch.randn(2, 3, 8, 8, requires_grad=True)
        alone(images, step).total.backward()
        assert images.grad is not None
        assert torch.isfinite(images.grad).all()
        assert float(images.grad.abs().max()) > 0


def test_views_are_one_shift_over_a_margin_of_zeros_for_all_images(given: Given) -> None:
    loss, images = loss_of(given, settings(shift=0.25), Group(labels=(0, 1), ipc=1)), torch.rand(2, 3, 8, 8) + 1
    seen: set[tuple[int, int]] = set()
    for step in range(60):
        views = loss.forward(images, step).views
        padded = F.pad(images, (2, 2, 2, 2))
        fits = [
            (top, left)
            for top in range(5)
            for left in range(5)
            if torch.equal(views, padded[..., top : top + 8, left : left + 8])
        ]
        assert len(fits) == 1
        seen.update(fits)
    assert len(seen) > 15


@pytest.mark.parametrize("ipc", [1, 3])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_valid_set_in_grey_and_colour(
    ipc: int, channels: int, make_image_set: Callable[..., ImageSet], make_teacher: Callable[..., Teacher]
) -> None:
    images = make_image_set(channels=channels)
    teacher = make_teacher(images)
    stats = layer_statistics(images, teacher, StatisticsSettings())
    found = recover_gvbsm(images, (teacher,), (stats,), settings(batch=4), ipc=ipc)
    assert found.images.shape == (3 * ipc, channels, 8, 8)
    assert found.labels.tolist() == [label for label in range(3) for _ in range(ipc)]
    assert found.method == "gvbsm"
    torch.testing.assert_close(found.weights, torch.full((3 * ipc,), 1 / ipc))


def test_the_same_seed_gives_the_same_bytes(given: Given, global_stream_untouched: Callable[[], None]) -> None:
    one = recover_gvbsm(*given, settings(), ipc=2, ctx=Context(seed=1))
    global_stream_untouched()
    assert torch.equal(recover_gvbsm(*given, settings(), ipc=2, ctx=Context(seed=1)).images, one.images)
    assert not torch.equal(recover_gvbsm(*given, settings(), ipc=2, ctx=Context(seed=2)).images, one.images)


@pytest.mark.parametrize("killed_after", [1, 4, 6, 9])
def test_killed_and_resumed_equals_unbroken(killed_after: int, given: Given) -> None:
    chosen = settings(batch=4, crop_min=0.5)  # two groups of six saves
    unbroken = recover_gvbsm(*given, chosen, ipc=2)
    dying = MemoryContext(dies_after=killed_after)
    with pytest.raises(KilledError):
        recover_gvbsm(*given, chosen, ipc=2, ctx=dying)
    assert torch.equal(recover_gvbsm(*given, chosen, ipc=2, ctx=dying.again()).images, unbroken.images)


def test_the_loss_falls(given: Given) -> None:
    ctx = MemoryContext()
    recover_gvbsm(*given, settings(iterations=60, lr=0.1), ipc=2, ctx=ctx)
    losses = [row["loss"] for row in ctx.rows]
    assert sum(losses[-6:]) < 0.7 * sum(losses[:6])
    assert {"ce_loss", "bn_loss", "density_loss"} <= set(ctx.rows[0])
