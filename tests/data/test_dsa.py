"""DSA: a draw is an object, and what it does to images is known."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from wmdd.data.dsa import DsaParameters, apply_dsa, draw_dsa
from wmdd.settings import DSA_GROUPS, FULL_DSA, strategy_groups

IDENTITY = {
    "color": [[0.0, 1.0, 1.0]],
    "crop": [[0.0, 0.0]],
    "flip": [[0.0]],
    "scale": [[1.0, 1.0]],
    "rotate": [[0.0]],
}


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def one(group: str, *values: float) -> DsaParameters:
    return DsaParameters(group=group, values=torch.tensor([values]))


def counting(side: int = 4) -> Tensor:
    return torch.arange(1.0, side * side + 1).view(1, 1, side, side)


@pytest.mark.parametrize("group", IDENTITY)
def test_neutral_parameters_change_nothing(group: str) -> None:
    images = torch.randn(5, 3, 9, 9)
    found = apply_dsa(images, DsaParameters(group=group, values=torch.tensor(IDENTITY[group])))
    torch.testing.assert_close(found, images, rtol=1e-5, atol=1e-5)


def test_no_strategy_is_no_change_and_draws_nothing() -> None:
    generator, images = stream(), torch.randn(2, 1, 8, 8)
    drawn = draw_dsa("none", 8, 2, generator)
    assert drawn.group == "none"
    assert apply_dsa(images, drawn) is images
    assert torch.equal(generator.get_state(), stream().get_state())


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("channels", [1, 3])
def test_siamese_batches_share_operation_and_parameters(seed: int, channels: int) -> None:
    # An image that is in both batches, at other places, comes out alike; so does a batch of another size.
    drawn = draw_dsa(FULL_DSA, 8, 1, stream(seed))
    real, distilled = torch.randn(7, channels, 8, 8), torch.randn(2, channels, 8, 8)
    distilled[1] = real[5]
    torch.testing.assert_close(apply_dsa(real, drawn)[5], apply_dsa(distilled, drawn)[1])
    assert len(drawn.values) == 1


@pytest.mark.parametrize("group", DSA_GROUPS)
def test_rows_of_parameters_belong_to_images(group: str) -> None:
    drawn = draw_dsa(group, 8, 6, stream(3))
    assert drawn.group == group
    assert len(drawn.values) == 6
    assert len(drawn.values.unique(dim=0)) > 1
    images = torch.randn(6, 3, 8, 8)
    together = apply_dsa(images, drawn)
    for row in range(6):
        alone = apply_dsa(images[row : row + 1], DsaParameters(group=group, values=drawn.values[row : row + 1]))
        torch.testing.assert_close(together[row : row + 1], alone)


def test_every_group_of_a_strategy_comes_and_no_other() -> None:
    generator = stream()
    seen = [draw_dsa("crop_rotate_flip", 8, 1, generator).group for _ in range(300)]
    counts = {group: seen.count(group) for group in set(seen)}
    assert set(counts) == {"crop", "rotate", "flip"}
    assert all(70 <= count <= 130 for count in counts.values())


def test_equal_streams_draw_alike_and_the_global_one_is_left_alone() -> None:
    before = torch.get_rng_state()
    first, second = (draw_dsa(FULL_DSA, 8, 4, stream(9)) for _ in range(2))
    assert first.group == second.group
    assert torch.equal(first.values, second.values)
    assert torch.equal(torch.get_rng_state(), before)


def test_color_is_brightness_then_saturation_then_contrast() -> None:
    image = torch.randn(1, 3, 4, 4)
    bright = image + 0.2
    grey = bright.mean(1, keepdim=True)
    saturated = grey + 1.5 * (bright - grey)
    expected = saturated.mean() + 0.7 * (saturated - saturated.mean())
    torch.testing.assert_close(apply_dsa(image, one("color", 0.2, 1.5, 0.7)), expected)


def test_crop_shifts_and_fills_with_zero() -> None:
    found = apply_dsa(counting(3), one("crop", 1, -1))
    assert found[0, 0].tolist() == [[0, 4, 5], [0, 7, 8], [0, 0, 0]]


@pytest.mark.parametrize(
    ("centre", "rows", "columns"),
    [((2, 2), {1, 2}, {1, 2}), ((0, 4), {0}, {3}), ((4, 0), {3}, {0})],
)
def test_cutout_is_a_square_that_the_border_cuts(centre: tuple[int, int], rows: set[int], columns: set[int]) -> None:
    found = apply_dsa(counting(), one("cutout", *centre))[0, 0]
    for row in range(4):
        for column in range(4):
            hole = row in rows and column in columns
            assert float(found[row, column]) == (0 if hole else 4 * row + column + 1)


def test_flip_mirrors_left_and_right() -> None:
    found = apply_dsa(torch.cat([counting(2)] * 2), DsaParameters(group="flip", values=torch.tensor([[1.0], [0.0]])))
    assert found[:, 0].tolist() == [[[2, 1], [4, 3]], [[1, 2], [3, 4]]]


def test_scale_above_one_shrinks_the_object() -> None:
    disc = torch.zeros(1, 1, 16, 16)
    disc[..., 4:12, 4:12] = 1
    smaller, larger = (float(apply_dsa(disc, one("scale", by, by)).sum()) for by in (1.2, 1 / 1.2))
    assert smaller == pytest.approx(64 / 1.44, rel=0.03)
    assert larger == pytest.approx(64 * 1.44, rel=0.03)
    wide = apply_dsa(disc, one("scale", 1 / 1.2, 1.0))[0, 0]
    assert float(wide.sum(0).gt(0).sum()) > float(wide.sum(1).gt(0).sum())  # the first factor is the width's


def test_a_quarter_turn_of_rotate_is_exact() -> None:
    image = torch.randn(1, 3, 6, 6)
    found = apply_dsa(image, one("rotate", math.pi / 2))
    torch.testing.assert_close(found, image.rot90(1, (2, 3)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("side", "shift", "centres"), [(8, 1, range(9)), (28, 4, range(29)), (32, 4, range(33)), (5, 1, range(5))]
)
def test_ranges_round_as_published(side: int, shift: int, centres: range) -> None:
    crops = draw_dsa("crop", side, 3000, stream()).values
    assert crops.unique().tolist() == list(range(-shift, shift + 1))
    cutouts = draw_dsa("cutout", side, 3000, stream()).values
    assert cutouts.unique().tolist() == list(centres)


@pytest.mark.parametrize(
    ("group", "low", "high"),
    [
        ("color", (-0.5, 0.0, 0.5), (0.5, 2.0, 1.5)),
        ("scale", (1 / 1.2,) * 2, (1.2,) * 2),
        ("rotate", (-math.pi / 12,), (math.pi / 12,)),
        ("flip", (0.0,), (1.0,)),
    ],
)
def test_draws_fill_their_range(group: str, low: tuple[float, ...], high: tuple[float, ...]) -> None:
    values = draw_dsa(group, 8, 4000, stream()).values
    torch.testing.assert_close(values.amin(0), torch.tensor(low), rtol=0, atol=2e-3)
    torch.testing.assert_close(values.amax(0), torch.tensor(high), rtol=0, atol=2e-3)
    torch.testing.assert_close(values.mean(0), (torch.tensor(low) + torch.tensor(high)) / 2, rtol=0, atol=0.03)


@pytest.mark.parametrize("group", DSA_GROUPS)
@pytest.mark.parametrize("rows", [1, 2])
def test_gradients_pass_through(group: str, rows: int) -> None:
    drawn = draw_dsa(group, 4, rows, stream(5))
    images = torch.randn(2, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    change: Callable[[Tensor], Tensor] = lambda given: apply_dsa(given, drawn)  # noqa: E731
    assert torch.autograd.gradcheck(change, images)


@pytest.mark.parametrize("wrong", ["crop_spin", "crop_crop", "", "crop_none"])
def test_wrong_strategies_are_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="must be none or some of color, crop"):
        strategy_groups(wrong)
