"""RDED: the easiest crops by the teacher's word, each in its place."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from memory_context import KilledError, MemoryContext
from wmdd.context import Context
from wmdd.data.loading import to_float
from wmdd.errors import DataError
from wmdd.methods.rded import RdedSettings
from wmdd.methods.rded.distill import cut, draw_squares, easiest, pad_centred, rded, tile_images
from wmdd.models.building import build_model, build_teacher, resolve_spec
from wmdd.values import ImageSet, Teacher

WHOLE = RdedSettings(crops=1, crop_min=1.0)
"""No cropping at all: what is left is to choose the images that the teacher finds easiest."""


def losses_of_whole_images(images: ImageSet, teacher: Teacher) -> Tensor:
    inputs = to_float(images.images.fetch(range(len(images))), teacher.mean, teacher.std)
    with torch.no_grad():
        return F.cross_entropy(build_teacher(teacher)(inputs), images.labels, reduction="none")


def untrained_teacher(images: ImageSet) -> Teacher:
    spec = resolve_spec("convnet1_w4_bn", num_classes=2, channels=3, image_size=images.image_size, stem="small")
    torch.manual_seed(0)
    weights = {name: value.clone() for name, value in build_model(spec).state_dict().items()}
    return Teacher(spec=spec, weights=weights, classes=images.classes, mean=(0.5,) * 3, std=(0.2,) * 3, top1=0.0)


def test_squares_lie_inside_and_keep_enough() -> None:
    boxes = draw_squares(5000, 32, 0.25, torch.Generator().manual_seed(0))
    top, left, side = boxes.unbind(1)
    assert boxes.dtype == torch.int64
    assert side.min() == 16
    assert side.max() == 32
    assert min(top.min(), left.min()) == 0
    assert max((top + side).max(), (left + side).max()) == 32
    # The area is uniform between a quarter and all of the square.
    assert float((side / 32).square().mean()) == pytest.approx(0.625, abs=0.01)


def test_the_smallest_square_is_a_pixel_and_the_largest_the_whole() -> None:
    assert draw_squares(50, 2, 0.01, torch.Generator().manual_seed(0))[:, 2].min() == 1
    assert draw_squares(50, 7, 1.0, torch.Generator().manual_seed(0)).tolist() == [[0, 0, 7]] * 50


def test_cutting_without_resizing_copies_and_halving_averages() -> None:
    pixels = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    same = cut(pixels, torch.tensor([[1, 2, 4], [4, 0, 4]]), 4)
    assert torch.equal(same, torch.stack([pixels[0, :, 1:5, 2:6], pixels[1, :, 4:8, 0:4]]))
    halves = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    halves[..., ::2] = 200  # stripes of one pixel: without antialiasing every second one would be lost
    assert (cut(halves, torch.tensor([[0, 0, 8]]), 4)[..., 1:3].int() - 100).abs().max() <= 1


def test_padding_is_centred_and_zero() -> None:
    padded = pad_centred(torch.ones(1, 1, 2, 2), 5)
    assert padded.shape == (1, 1, 5, 5)
    assert padded.sum() == 4
    assert padded[0, 0, 1:3, 1:3].min() == 1
    assert torch.equal(pad_centred(padded, 5), padded)


def test_every_image_gives_its_best_crop_before_any_gives_its_second() -> None:
    losses = torch.tensor([[0.5, 0.1, 0.9], [0.2, 0.3, 0.25], [0.7, 0.8, 0.6]])
    image, crop = easiest(losses, 9)
    assert list(zip(image.tolist(), crop.tolist(), strict=True)) == [
        *((0, 1), (1, 0), (2, 2)),
        *((1, 2), (0, 0), (2, 0)),
        *((1, 1), (2, 1), (0, 2)),
    ]
    assert easiest(losses, 2)[0].tolist() == [0, 1]


def test_tiles_stand_row_by_row_and_ranks_are_dealt_to_the_images_in_turn() -> None:
    crops = torch.arange(8, dtype=torch.uint8)[:, None, None, None].expand(8, 1, 2, 2)
    first, second = tile_images(crops, 2, 4)[:, 0]
    assert first[::2, ::2].tolist() == [[0, 2], [4, 6]]
    assert second[::2, ::2].tolist() == [[1, 3], [5, 7]]
    assert first[:2, :2].unique().tolist() == [0]
    assert tile_images(crops, 2, 3).shape == (2, 1, 3, 3)


def test_without_crops_the_easiest_images_are_taken(image_set: ImageSet, teacher: Teacher) -> None:
    found = rded(image_set, teacher, WHOLE, ipc=4)
    losses = losses_of_whole_images(image_set, teacher)
    for label in range(3):
        members = image_set.of_class(label)
        chosen = members[losses[members].argsort()[:4]]
        assert torch.equal(found.images[4 * label : 4 * label + 4], image_set.images.fetch(chosen.tolist()))
    assert found.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert found.weights.tolist() == [0.25] * 12
    assert (found.method, found.classes, found.mean) == ("rded", teacher.classes, teacher.mean)


def test_chosen_crops_are_easier_than_others(image_set: ImageSet, teacher: Teacher) -> None:
    ctx = MemoryContext()
    rded(image_set, teacher, RdedSettings(crop_min=0.3), ipc=3, ctx=ctx)
    assert [row["unit"] for row in ctx.rows] == ["class 0", "class 1", "class 2"]
    assert all(row["loss"] < row["loss_of_all"] for row in ctx.rows)
    assert ctx.steps == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(("side", "factor"), [(8, 1), (64, 1), (66, 2)])
def test_small_images_hold_one_crop(make_image_set: Callable[..., ImageSet], side: int, factor: int) -> None:
    images = make_image_set(classes=2, per_class=4, side=side)
    teacher = untrained_teacher(images)
    free, fixed = (
        rded(images, teacher, RdedSettings(crops=1, factor=chosen), ipc=1).images for chosen in (None, factor)
    )
    assert torch.equal(free, fixed)
    assert not torch.equal(free, rded(images, teacher, RdedSettings(crops=1, factor=3 - factor), ipc=1).images)


def test_crops_come_from_the_canvas_and_images_have_the_side_that_networks_see(
    make_image_set: Callable[..., ImageSet], make_teacher: Callable[..., Teacher]
) -> None:
    wide = make_image_set(side=10)
    images = replace(wide, image_size=8)
    teacher = make_teacher(make_image_set(side=8))
    found = rded(images, teacher, RdedSettings(crops=2, factor=3, crop_min=0.2), ipc=2)
    assert found.images.shape == (6, 3, 8, 8)
    assert found.images.dtype == torch.uint8


def test_more_images_are_drawn_than_asked_for_if_more_pieces_are_needed(image_set: ImageSet, teacher: Teacher) -> None:
    few = rded(image_set, teacher, WHOLE.with_(sample=1), ipc=12)
    assert torch.equal(few.images, rded(image_set, teacher, WHOLE, ipc=12).images)
    assert len(few.images.flatten(1).unique(dim=0)) == 36


def test_second_best_crops_fill_the_tiles_of_small_classes(image_set: ImageSet, teacher: Teacher) -> None:
    settings = RdedSettings(crops=4, factor=2, crop_min=0.3)
    assert rded(image_set, teacher, settings, ipc=12).images.shape == (36, 3, 8, 8)
    with pytest.raises(DataError, match="12 images, 4 crops of each and 52 tiles; raise rded.crops"):
        rded(image_set, teacher, settings, ipc=13)


def test_the_seed_decides_and_the_global_stream_does_not_matter(
    image_set: ImageSet, teacher: Teacher, global_stream_untouched: Callable[[], None]
) -> None:
    settings = RdedSettings(sample=6, crop_min=0.3)
    one, same, other = (rded(image_set, teacher, settings, ipc=2, ctx=Context(seed=seed)) for seed in (1, 1, 2))
    assert torch.equal(one.images, same.images)
    assert not torch.equal(one.images, other.images)
    global_stream_untouched()


def test_a_stopped_run_ends_the_same(image_set: ImageSet, teacher: Teacher) -> None:
    settings = RdedSettings(crop_min=0.3)
    whole = rded(image_set, teacher, settings, ipc=2, ctx=MemoryContext(stage="rded"))
    dying = MemoryContext(stage="rded", dies_after=2)
    with pytest.raises(KilledError):
        rded(image_set, teacher, settings, ipc=2, ctx=dying)
    again = dying.again()
    assert torch.equal(rded(image_set, teacher, settings, ipc=2, ctx=again).images, whole.images)
    assert again.saves == ["class-00002"]


def test_another_class_order_is_refused(image_set: ImageSet, teacher: Teacher) -> None:
    with pytest.raises(DataError, match="disagree about the classes"):
        rded(image_set, replace(teacher, classes=("class-1", "class-0", "class-2")), RdedSettings(), ipc=1)
