"""Real images that are blended in on the way: parts of the steps, the blend, RETA's choice, and a kill in between."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from memory_context import KilledError, MemoryContext
from wmdd.context import Context
from wmdd.data.inputs import network_inputs
from wmdd.errors import ConfigError, DataError
from wmdd.methods.kits.inversion import invert
from wmdd.models.building import build_teacher
from wmdd.models.taps import features_and_logits
from wmdd.settings import RecoverSettings
from wmdd.stages.recover import recover
from wmdd.stages.recovery.descent import Recovery
from wmdd.stages.recovery.groups import Group, barycenter_targets
from wmdd.stages.recovery.residuals import Residuals, Retrieval, complexity, residuals_of, retrieve
from wmdd.stages.recovery.terms import recovery_loss
from wmdd.training.pixels import pixel_limits, start_images, to_pixels
from wmdd.values import Barycenters, ClassStatistics, ImageSet, Teacher

CPU = torch.device("cpu")
WHOLE = Group(labels=(0, 1, 2), ipc=2)
Given = tuple[ImageSet, Teacher, ClassStatistics, Barycenters]


@pytest.fixture
def given(image_set: ImageSet, teacher: Teacher, class_statistics: ClassStatistics, barycenters: Barycenters) -> Given:
    return image_set, teacher, class_statistics, barycenters


def settings(**changes: object) -> RecoverSettings:
    return RecoverSettings(**{"iterations": 6, "start": "real", **changes})


@pytest.mark.parametrize(
    ("iterations", "count", "parts"),
    [(2000, 3, [(0, 500), (500, 1000), (1000, 1500), (1500, 2000)]), (7, 1, [(0, 3), (3, 7)]), (5, 0, [(0, 5)])],
)
def test_residuals_lie_at_equal_distances(
    given: Given, iterations: int, count: int, parts: list[tuple[int, int]]
) -> None:
    residuals = Residuals(count=count, share=0.5, patches=lambda _group, start, _images: start)
    recovery = Recovery(
        train=given[0],
        teacher=given[1],
        settings=settings(iterations=iterations),
        groups=(WHOLE,),
        ctx=Context(),
        residuals=residuals,
    )
    assert recovery.parts == parts
    assert replace(recovery, residuals=None).parts == [(0, iterations)]


def plain_recovery(given: Given, chosen: RecoverSettings, blend: Callable[[Tensor], Tensor]) -> Tensor:
    """Recover with one blend in the middle: torch's Adam, made anew, and the cosine of all steps."""
    train, teacher, statistics, barycenters = given
    ctx = Context()
    start = start_images(train, teacher, range(3), 2, start=chosen.start, ctx=ctx)
    targets = barycenter_targets(statistics, barycenters, WHOLE, chosen, CPU)
    loss = recovery_loss(build_teacher(teacher), targets, statistics, chosen, ctx=ctx)
    images, half = start.clone().requires_grad_(), chosen.iterations // 2
    for part in range(2):
        optimiser = torch.optim.Adam([images], betas=(0.5, 0.9))
        for step in range(part * half, (part + 1) * half):
            optimiser.param_groups[0]["lr"] = chosen.lr * (1 + math.cos(math.pi * step / chosen.iterations)) / 2
            optimiser.zero_grad()
            loss(images, step).total.backward()
            optimiser.step()
            with torch.no_grad():
                images.clamp_(*pixel_limits(teacher, CPU))
        if part == 0:
            images = blend(images.detach()).requires_grad_()
    return to_pixels(images.detach(), teacher)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("start", ["real", "noise"])
def test_fadrm_blends_in_the_start_and_begins_the_optimiser_anew(given: Given, start: str, share: float) -> None:
    chosen = settings(residuals=1, residual_share=share, start=start)
    real = start_images(given[0], given[1], range(3), 2, start="real", ctx=Context())
    expected = plain_recovery(given, chosen, lambda images: (1 - share) * images + share * real)
    found = recover(*given, chosen).images
    assert int((found.int() - expected.int()).abs().max()) <= 1


def test_reta_blends_in_what_it_retrieves(given: Given) -> None:
    train, teacher, statistics, _ = given
    chosen, model = settings(residuals=1, residual_from="retrieved", residual_complexity=0.4), build_teacher(teacher)

    def blend(images: Tensor) -> Tensor:
        """Return the mean of each image and the real one of least score, found one by one."""
        found = []
        for at, image in enumerate(images):
            own = features_and_logits(model, image[None])[0][0].double().detach()
            members, scores = train.of_class(at // 2), []
            for row, position in enumerate(members.tolist()):
                other = statistics.of_class(at // 2)[row].double()
                apart = float((own / own.norm() - other / other.norm()).square().sum())
                pixels = network_inputs(train.images.fetch([position]), teacher)
                scores.append(0.6 * apart + 0.4 * plain_complexity(pixels[0]))
            best = int(members[int(np.argmin(scores))])
            found.append((image + network_inputs(train.images.fetch([best]), teacher)[0]) / 2)
        return torch.stack(found)

    expected, found = plain_recovery(given, chosen, blend), recover(*given, chosen).images
    assert int((found.int() - expected.int()).abs().max()) <= 1


def plain_complexity(image: Tensor) -> float:
    """Return RETA's complexity of an image `(ch, R, R)` with scipy's Gaussian of seven taps, mirrored at the border."""
    smooth = [ndimage.gaussian_filter(channel, 1.0, mode="mirror", truncate=3.0) for channel in image.double().numpy()]
    energy = sum(np.diff(each, axis=1)[:-1] ** 2 + np.diff(each, axis=0)[:, :-1] ** 2 for each in smooth)
    return float(np.var(energy))


@pytest.mark.parametrize("channels", [1, 3])
def test_complexity_is_the_variance_of_the_blurred_squared_gradient(channels: int) -> None:
    images = torch.randn(4, channels, 9, 9, generator=torch.Generator().manual_seed(0))
    assert complexity(images).tolist() == pytest.approx([plain_complexity(image) for image in images], rel=1e-4)


def test_flat_and_evenly_rising_images_have_no_complexity_inside() -> None:
    assert complexity(torch.full((1, 1, 12, 12), 0.7)).item() == pytest.approx(0, abs=1e-10)
    edge, flat = torch.zeros(2, 1, 1, 12, 12).unbind(0)
    edge[..., 6:] = 1.0
    assert complexity(edge) > complexity(flat)


def test_direction_and_complexity_decide_together() -> None:
    real = torch.tensor([[9.0, 0.0], [1.0, 1.0], [0.0, 0.1]], dtype=torch.float64)
    features = torch.tensor([[1.0, 0.0], [1.0, 2.0]], dtype=torch.float64)
    plain = torch.tensor([0.0, 0.9, 0.0], dtype=torch.float64)
    assert retrieve(features, real, plain, 0.0).tolist() == [0, 1]  # lengths do not matter
    assert retrieve(features, real, plain, 0.5).tolist() == [0, 2]
    assert retrieve(features, real, plain, 1.0).tolist() == [0, 0]  # the first of equals


@pytest.mark.parametrize("source", ["start", "retrieved"])
def test_the_real_images_are_of_their_class(given: Given, source: str) -> None:
    train, teacher, statistics, _ = given
    chosen = settings(start="noise", residuals=1, residual_from=source)
    residuals = residuals_of(train, teacher, build_teacher(teacher), statistics, chosen, ctx=Context())
    noise = torch.randn(6, 3, 8, 8)
    patches = residuals.patches(WHOLE, noise, noise)
    for at, patch in enumerate(patches):
        own = network_inputs(train.images.fetch(train.of_class(at // 2).tolist()), teacher)
        assert (own == patch).flatten(1).all(1).any()
    blended = residuals.blend(WHOLE, noise, noise)
    torch.testing.assert_close(blended, (noise + patches) / 2)


def test_real_images_retrieve_themselves(given: Given) -> None:
    train, teacher, statistics, _ = given
    retrieval = Retrieval(
        train=train, teacher=teacher, model=build_teacher(teacher), statistics=statistics, weight=0.0, ctx=Context()
    )
    chosen = torch.cat([train.of_class(label)[3:5] for label in range(3)])
    images = network_inputs(train.images.fetch(chosen.tolist()), teacher)
    assert torch.equal(retrieval.patches()(WHOLE, images, images), images)


@pytest.mark.parametrize("source", ["start", "retrieved"])
@pytest.mark.parametrize("loss", ["wasserstein", "cross_entropy"])
def test_a_kill_between_parts_changes_nothing(given: Given, source: str, loss: str) -> None:
    chosen = settings(residuals=2, residual_from=source, batch=4, feature_loss=loss)
    whole, count = recover(*given, chosen).images, 0
    for dies_after in range(1, 13):  # two groups of six steps
        ctx = MemoryContext(dies_after=dies_after)
        with pytest.raises(KilledError):
            recover(*given, chosen, ctx=ctx)
        resumed = ctx.again()
        assert torch.equal(recover(*given, chosen, ctx=resumed).images, whole)
        assert [done for done, _ in resumed.steps] == list(range(dies_after + 1, 13))
        count += 1
    assert count == 12


def test_the_log_counts_all_steps_of_a_group(given: Given) -> None:
    ctx = MemoryContext()
    recover(*given, settings(residuals=2), ctx=ctx)
    assert [row["step"] for row in ctx.rows] == [1, 2, 3, 4, 5, 6]
    assert {row["unit"] for row in ctx.rows} == {"classes 0 to 2"}
    names = list(dict.fromkeys(ctx.saves))
    assert names == [f"classes 0 to 2, steps {at} to {at + 2}" for at in (0, 2, 4)]


def test_without_residuals_names_and_images_are_as_they_were(given: Given) -> None:
    """The other settings have no effect then, and the saved state has the group's name."""
    ctx = MemoryContext()
    plain = recover(*given, settings(), ctx=ctx).images
    other = settings(residual_share=0.9, residual_from="retrieved", residual_complexity=0.7)
    assert torch.equal(recover(*given, other).images, plain)
    assert set(ctx.saves) == {"classes 0 to 2"}
    assert settings().counted() == {"iterations": 6, "start": "real"}


def test_inversion_has_them_too(given: Given) -> None:
    train, teacher, statistics, _ = given
    chosen = settings(feature_loss="cross_entropy", bn="global", residuals=3, residual_share=1.0, lr=1e-6, batch=3)
    found = invert(train, teacher, statistics, chosen, ipc=2, method="sre2l").images
    start = to_pixels(start_images(train, teacher, range(3), 2, start="real", ctx=Context()), teacher)
    assert int((found.int() - start.int()).abs().max()) <= 1


def test_bad_settings_and_other_statistics_are_refused(given: Given) -> None:
    with pytest.raises(ConfigError, match="got 6 in 6 iterations; set fewer residuals"):
        settings(residuals=6)
    train, teacher, statistics, barycenters = given
    other = replace(statistics, counts=(11, 13, 12))
    with pytest.raises(DataError, match="statistics and images do not belong together"):
        recover(train, teacher, other, barycenters, settings(residuals=1, residual_from="retrieved"))
