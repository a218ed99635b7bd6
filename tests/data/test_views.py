"""Views: drawing follows torchvision's rules, applying equals torchvision's pixels, and every row can be replayed."""

import pytest
import torch
import torchvision.transforms.functional as tvf
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from plain_views import apply_views, full_views
from wmdd.data.views import (
    compose_views,
    concatenate,
    crop_and_flip,
    cutmix_mask,
    cutmix_share,
    draw_views,
    epoch_views,
    has_cutmix,
    reorder_tiles,
    spread_boxes,
)
from wmdd.settings import ViewSettings
from wmdd.values import Views

FIELDS = Views.__slots__
MIXED = ViewSettings(crop_min=0.08, flip=True, cutmix=1.0)


def stream(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def same(left: Views, right: Views) -> bool:
    return all(torch.equal(getattr(left, name), getattr(right, name)) for name in FIELDS)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=stream(seed))


def test_equal_generators_give_equal_views() -> None:
    index = torch.randperm(50, generator=stream(9))[:20]
    first = draw_views(index, 32, 32, MIXED, stream(1))
    assert same(first, draw_views(index, 32, 32, MIXED, stream(1)))
    assert not same(first, draw_views(index, 32, 32, MIXED, stream(2)))
    assert torch.equal(first.index, index)


def test_types_are_those_of_the_record() -> None:
    views = draw_views(torch.arange(5), 16, 8, MIXED, stream(0))
    types = [views.index.dtype, views.crop.dtype, views.flip.dtype, views.partner.dtype, views.patch.dtype]
    assert types == [torch.int64, torch.int16, torch.bool, torch.int64, torch.int16]


@settings(max_examples=100, deadline=None)
@given(data=st.data(), side=st.integers(4, 40), size=st.integers(1, 40), flip=st.booleans())
def test_look_equals_torchvision(data: st.DataObject, side: int, size: int, flip: bool) -> None:
    height, width = data.draw(st.integers(1, side)), data.draw(st.integers(1, side))
    top, left = data.draw(st.integers(0, side - height)), data.draw(st.integers(0, side - width))
    image = noise(1, 3, side, side, seed=side)
    expected = tvf.resized_crop(image, top, left, height, width, [size, size], antialias=False)
    got = crop_and_flip(image, torch.tensor([[top, left, height, width]]), torch.tensor([flip]), size)
    torch.testing.assert_close(got, tvf.hflip(expected) if flip else expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("canvas", "size"), [(64, 64), (256, 224)])
def test_drawn_views_equal_torchvision(canvas: int, size: int) -> None:
    views = draw_views(torch.arange(8), canvas, size, ViewSettings(cutmix=0), stream(3))
    images = noise(8, 3, canvas, canvas)
    got = apply_views(images, views, size)
    for row in range(8):
        top, left, height, width = views.crop[row].tolist()
        expected = tvf.resized_crop(images[row], top, left, height, width, [size, size], antialias=False)
        expected = tvf.hflip(expected) if views.flip[row] else expected
        torch.testing.assert_close(got[row], expected, atol=1e-4, rtol=0)


def test_whole_image_at_its_own_size_is_the_image() -> None:
    images = noise(4, 1, 12, 12)
    torch.testing.assert_close(apply_views(images, full_views(torch.arange(4), 12), 12), images, atol=1e-6, rtol=0)


def test_gradients() -> None:
    images = noise(3, 2, 5, 5).double().requires_grad_()
    views = draw_views(torch.tensor([2, 0, 1]), 5, 4, MIXED, stream(5))
    assert torch.autograd.gradcheck(lambda canvas: apply_views(canvas, views, 4), (images,))


def test_a_row_alone_equals_the_row_in_its_batch() -> None:
    images = noise(10, 3, 16, 16)
    views = draw_views(torch.randperm(10, generator=stream(0)), 16, 16, MIXED, stream(1))
    batch = apply_views(images, views, 16)
    for row in range(10):
        assert torch.equal(apply_views(images, views.rows(row, row + 1), 16)[0], batch[row])


def test_the_cutmix_box_shows_the_partners_own_look() -> None:
    images = noise(6, 3, 16, 16)
    views = draw_views(torch.arange(6), 16, 16, MIXED, stream(4))
    assert has_cutmix(views)
    own = crop_and_flip(images, views.crop, views.flip, 16)
    other = crop_and_flip(images[views.partner], views.partner_crop, views.partner_flip, 16)
    mixed = apply_views(images, views, 16)
    for row in range(6):
        top, left, height, width = views.patch[row].tolist()
        expected = own[row].clone()
        box = (slice(None), slice(top, top + height), slice(left, left + width))
        expected[box] = other[row][box]
        assert torch.equal(mixed[row], expected)
    partner_row = {int(image): row for row, image in enumerate(views.index)}
    for row in range(6):
        mate = partner_row[int(views.partner[row])]
        assert torch.equal(views.partner_crop[row], views.crop[mate])
        assert bool(views.partner_flip[row]) == bool(views.flip[mate])


def test_without_cutmix_the_partner_is_the_image_itself() -> None:
    views = draw_views(torch.tensor([7, 3]), 16, 16, ViewSettings(cutmix=0), stream(0))
    assert torch.equal(views.partner, views.index)
    assert not has_cutmix(views)
    assert not cutmix_mask(views.patch, 16).any()
    images = noise(2, 1, 16, 16)
    assert torch.equal(compose_views(images, None, views, 16), compose_views(images, images, views, 16))


def test_crop_statistics() -> None:
    views = draw_views(torch.arange(4000), 64, 64, ViewSettings(crop_min=0.08), stream(0))
    top, left, height, width = views.crop.double().unbind(1)
    area, ratio = height * width / 64**2, width / height
    assert top.min() >= 0
    assert left.min() >= 0
    assert (top + height).max() <= 64
    assert (left + width).max() <= 64
    assert area.min() > 0.08 - 0.01
    assert area.max() <= 1
    # Uniform on [0.08, 1] but for the tries that do not fit, which are large: the mean lies a little below 0.54.
    assert 0.48 < area.mean() < 0.54
    assert 3 / 4 - 0.05 < ratio.min() < ratio.max() < 4 / 3 + 0.08
    assert abs(ratio.log().mean()) < 0.02
    assert 0.46 < views.flip.double().mean() < 0.54


@pytest.mark.parametrize("canvas", [4, 8, 31, 64, 256])
def test_crop_min_one_is_the_whole_canvas(canvas: int) -> None:
    views = draw_views(torch.arange(500), canvas, canvas, ViewSettings(crop_min=1.0, flip=False), stream(canvas))
    assert same(views, full_views(torch.arange(500), canvas))


def test_cutmix_area_statistics() -> None:
    views = draw_views(torch.arange(4000), 64, 64, MIXED, stream(0))
    top, left, height, width = views.patch.int().unbind(1)
    assert top.min() >= 0
    assert left.min() >= 0
    assert (top + height).max() <= 64
    assert (left + width).max() <= 64
    share = cutmix_share(views, 64)
    assert torch.equal(share, cutmix_mask(views.patch, 64).float().mean(dim=(1, 2)))
    # 1 - lambda = s^2 is uniform, and clipping keeps (1 - s/4)^2 of a box of side s: integrate s^2 (1 - s/4)^2 2s.
    assert abs(float(share.mean()) - (1 / 2 - 1 / 5 + 1 / 48)) < 0.02
    assert torch.equal(views.partner.sort().values, torch.arange(4000))


@pytest.mark.parametrize("alpha", [0.2, 5.0])
def test_beta_parameter_is_heeded(alpha: float) -> None:
    share = cutmix_share(draw_views(torch.arange(3000), 64, 64, ViewSettings(cutmix=alpha), stream(0)), 64)
    assert (float((share < 0.02).double().mean()) > 0.1) == (alpha < 1)


def test_epoch_shows_every_image_once_batch_by_batch() -> None:
    views = epoch_views(10, 4, 16, 16, MIXED, generator_for=stream, shuffle=stream(100))
    assert torch.equal(views.index.sort().values, torch.arange(10))
    again = epoch_views(10, 4, 16, 16, MIXED, generator_for=stream, shuffle=stream(100))
    assert same(views, again)
    assert same(views.rows(8, 10), draw_views(views.index[8:], 16, 16, MIXED, stream(2)))
    assert set(views.partner[:4].tolist()) == set(views.index[:4].tolist())


def test_concatenate() -> None:
    first, second = (draw_views(torch.arange(3), 8, 8, MIXED, stream(seed)) for seed in (0, 1))
    both = concatenate([first, second])
    assert len(both) == 6
    assert same(both.rows(3, 6), second)


def test_tiles_come_to_the_places_that_the_order_names() -> None:
    images = torch.arange(2 * 25.0).view(2, 1, 5, 5)
    orders = torch.tensor([[3, 0, 1, 2], [0, 1, 2, 3]])
    found = reorder_tiles(images, orders)
    one = images[0, 0]
    assert torch.equal(found[0, 0, :2, :2], one[2:4, 2:4])
    assert torch.equal(found[0, 0, :2, 2:4], one[:2, :2])
    assert torch.equal(found[0, 0, 2:4, :2], one[:2, 2:4])
    assert torch.equal(found[0, 0, 2:4, 2:4], one[2:4, :2])
    assert torch.equal(found[0, 0, 4], one[4])
    assert torch.equal(found[0, 0, :, 4], one[:, 4])
    assert torch.equal(found[1], images[1])


def coverage(boxes: torch.Tensor, size: int, *, reflect: bool) -> torch.Tensor:
    """Return how much each pixel counts in the views of an image, `(R, R)`, 1 on average."""
    image = torch.ones(1, 1, size, size, requires_grad=True)
    views = crop_and_flip(
        image.expand(len(boxes), -1, -1, -1), boxes, torch.zeros(len(boxes)) > 0, size, reflect=reflect
    )
    views.sum().backward()
    assert image.grad is not None
    return image.grad[0, 0] / len(boxes)


def test_spread_boxes_show_every_pixel_equally_often() -> None:
    generator, size = torch.Generator().manual_seed(0), 8
    drawn = draw_views(torch.arange(40_000), size, size, ViewSettings(crop_min=0.3), generator).crop
    inside = coverage(drawn, size, reflect=False)
    spread = coverage(spread_boxes(drawn, size, generator), size, reflect=True)
    assert float(inside[0, 0]) < 0.5 < 1.3 < float(inside[4, 4])
    torch.testing.assert_close(spread, torch.ones(size, size), rtol=0, atol=0.03)


def test_spread_boxes_keep_their_sides_and_whole_sides_stay() -> None:
    drawn = torch.tensor([[2, 0, 3, 8], [0, 0, 8, 8], [1, 1, 4, 2]], dtype=torch.int16)
    found = spread_boxes(drawn, 8, torch.Generator().manual_seed(3))
    assert found[:, 2:].tolist() == drawn[:, 2:].tolist()
    assert found[0, 1] == 0
    assert found[1].tolist() == [0, 0, 8, 8]
    centres = (found[:, :2] + found[:, 2:] / 2)[[0, 2]]
    assert ((centres >= 0) & (centres < 8)).all()


def test_beyond_the_image_a_view_shows_its_mirror_image() -> None:
    image = torch.arange(16.0).view(1, 1, 4, 4)
    box = torch.tensor([[0.0, -2.0, 4.0, 4.0]])
    found = crop_and_flip(image, box, torch.tensor([False]), 4, reflect=True)
    assert found[0, 0, 0].tolist() == pytest.approx([1.0, 0.0, 0.0, 1.0], abs=1e-5)
