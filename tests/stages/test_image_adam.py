"""Steps of one size for each image."""

import torch
from torch import Tensor

from wmdd.stages.recovery.image_adam import ImageAdam
from wmdd.training.optim import load_moments, moments

BETAS = (0.5, 0.9)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def moved(optimiser: torch.optim.Optimizer, images: Tensor, gradients: list[Tensor]) -> Tensor:
    for gradient in gradients:
        images.grad = gradient.clone()
        optimiser.step()
    return images.detach()


def test_the_first_step_of_every_image_has_the_rate_as_its_root_mean_square() -> None:
    images, gradients = torch.zeros(3, 2, 4, 4), drawn(3, 2, 4, 4) * torch.tensor([1e-3, 1.0, 1e3])[:, None, None, None]
    found = moved(ImageAdam([images], lr=0.1, betas=BETAS), images, [gradients])
    torch.testing.assert_close(found.square().mean((1, 2, 3)).sqrt(), torch.full((3,), 0.1))
    torch.testing.assert_close(found, -0.1 * gradients / gradients.square().mean((1, 2, 3), keepdim=True).sqrt())


def test_images_of_one_pixel_have_the_steps_of_adam() -> None:
    gradients = [drawn(5, 1, 1, 1, seed=step) for step in range(6)]
    ours, theirs = torch.zeros(5, 1, 1, 1), torch.zeros(5, 1, 1, 1)
    found = moved(ImageAdam([ours], lr=0.1, betas=BETAS), ours, gradients)
    expected = moved(torch.optim.Adam([theirs], lr=0.1, betas=BETAS), theirs, gradients)
    torch.testing.assert_close(found, expected)


def test_steps_are_those_of_the_formula() -> None:
    gradients = [drawn(2, 3, 5, 5, seed=step).double() for step in range(4)]
    images = torch.zeros(2, 3, 5, 5, dtype=torch.float64)
    expected, first, second = torch.zeros_like(images), torch.zeros_like(images), torch.zeros(2, dtype=torch.float64)
    for step, gradient in enumerate(gradients, start=1):
        first = BETAS[0] * first + (1 - BETAS[0]) * gradient
        for number in range(2):
            second[number] = BETAS[1] * second[number] + (1 - BETAS[1]) * (gradient[number] ** 2).sum() / 75
            size = (second[number] / (1 - BETAS[1] ** step)) ** 0.5
            expected[number] -= 0.2 * first[number] / (1 - BETAS[0] ** step) / (size + 1e-8)
    torch.testing.assert_close(moved(ImageAdam([images], lr=0.2, betas=BETAS), images, gradients), expected)


def test_a_pixel_that_is_hardly_seen_hardly_moves_where_adam_moves_it_as_far_as_any() -> None:
    gradients = [drawn(1, 1, 4, 4, seed=step) for step in range(20)]
    for gradient in gradients:
        gradient[..., 0, 0] *= 0.01
    ours, theirs = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    found = moved(ImageAdam([ours], lr=0.1, betas=BETAS), ours, gradients).abs()
    adam = moved(torch.optim.Adam([theirs], lr=0.1, betas=BETAS), theirs, gradients).abs()
    assert found[..., 0, 0] < 0.05 * found.mean()
    assert adam[..., 0, 0] > 0.2 * adam.mean()


def test_what_has_no_gradient_stays() -> None:
    images, beside = drawn(2, 1, 3, 3), drawn(1, 1, 3, 3)
    start, gradients = images.clone(), torch.zeros(2, 1, 3, 3)
    gradients[1] = 1
    found = moved(ImageAdam([images, beside], lr=0.1), images, [gradients, gradients])
    assert torch.equal(found[0], start[0])
    assert not torch.equal(found[1], start[1])
    assert torch.equal(beside, drawn(1, 1, 3, 3))


def test_steps_go_on_after_moments_were_saved() -> None:
    gradients = [drawn(2, 3, 4, 4, seed=step) for step in range(6)]
    images = torch.zeros(2, 3, 4, 4)
    expected = moved(ImageAdam([images], lr=0.1, betas=BETAS), images, gradients).clone()
    again = torch.zeros(2, 3, 4, 4)
    stopped, goes_on = (ImageAdam([again], lr=0.1, betas=BETAS) for _ in range(2))
    moved(stopped, again, gradients[:3])
    load_moments(goes_on, {name: value.clone() for name, value in moments(stopped).items()})
    assert torch.equal(moved(goes_on, again, gradients[3:]), expected)
