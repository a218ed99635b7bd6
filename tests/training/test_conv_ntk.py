"""The convolutional kernel against wide ConvNets, the closed form of one place, loops over places, and gradients."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import jacrev

from wmdd.errors import ConfigError
from wmdd.training import conv_ntk
from wmdd.training.conv_ntk import conv_tangent_kernel
from wmdd.training.kernels import kernel_named, require_kernel
from wmdd.training.ntk import regression_loss, tangent_kernel


def images(count: int, side: int, *, channels: int = 2, seed: int = 0) -> Tensor:
    stream = torch.Generator().manual_seed(seed)
    return torch.randn(count, channels, side, side, dtype=torch.float64, generator=stream)


def empirical_kernel(x: Tensor, *, blocks: int, width: int, seed: int) -> Tensor:
    """Return the sum over parameters of df(x)/dw · df(x')/dw of one ConvNet of finite width, NTK parametrisation."""
    stream = torch.Generator().manual_seed(seed)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=stream)

    channels = [x.shape[1], *[width] * (blocks + 1)]
    filters = [drawn(b, a, 3, 3) for a, b in zip(channels, channels[1:], strict=False)]
    biases = [drawn(width) for _ in filters]
    readout, last = drawn(width * (x.shape[2] // 2**blocks) * (x.shape[3] // 2**blocks)), drawn(1)

    def network(filters: list[Tensor], biases: list[Tensor], readout: Tensor, last: Tensor) -> Tensor:
        signal = x
        for layer, (weights, bias) in enumerate(zip(filters, biases, strict=True)):
            weights = math.sqrt(2 / weights[0].numel()) * weights
            signal = torch.relu(F.conv2d(signal, weights, 0.1 * bias, padding=1))
            signal = F.avg_pool2d(signal, 2) if layer > 0 else signal
        return signal.flatten(1) @ readout * math.sqrt(2 / len(readout)) + 0.1 * last

    parts = jacrev(network, argnums=(0, 1, 2, 3))(filters, biases, readout, last)
    rows = torch.cat([part.flatten(1) for part in (*parts[0], *parts[1], parts[2], parts[3])], dim=1)
    return rows @ rows.T


@pytest.mark.parametrize(("blocks", "side", "nets", "tolerance"), [(0, 3, 8, 0.03), (1, 4, 8, 0.04), (2, 5, 24, 0.05)])
def test_wide_networks_come_near_the_kernel(blocks: int, side: int, nets: int, tolerance: float) -> None:
    """The error of the mean over networks falls as 1/sqrt(width); measured in units of the kernel's norm."""
    x = images(3, side)
    kernel = conv_tangent_kernel(x, x, blocks=blocks)
    errors = []
    for width in (16, 256):
        mean = torch.stack([empirical_kernel(x, blocks=blocks, width=width, seed=seed) for seed in range(nets)]).mean(0)
        errors.append(float((mean - kernel).norm() / kernel.norm()))
    assert errors[1] < tolerance
    assert errors[1] < errors[0] / 1.5


def test_one_place_is_the_fully_connected_network_of_a_ninth_of_the_variance() -> None:
    """Images of 1 x 1: eight of nine weights of a filter see nothing but zeros. Arc-cosine formula by hand."""
    x, y = images(4, 1, channels=5), images(3, 1, channels=5, seed=1)
    u, v = x.flatten(1), y.flatten(1)
    variance = 2 / 9
    s, s_x, s_y = (variance * product / 5 + 0.01 for product in (u @ v.T, u.square().sum(1), v.square().sum(1)))
    scale = (s_x[:, None] * s_y).sqrt()
    angle = torch.acos(s / scale)
    after = scale * (torch.sin(angle) + (math.pi - angle) * torch.cos(angle)) / (2 * math.pi)
    expected = 2 * after + 0.01 + 2 * (math.pi - angle) / (2 * math.pi) * s
    torch.testing.assert_close(conv_tangent_kernel(x, y, blocks=0), expected, rtol=1e-12, atol=0)


Place = tuple[int, int]
Values = dict[tuple[Place, Place], float]


def products(a: Tensor, b: Tensor) -> Values:
    places = [(i, j) for i in range(a.shape[1]) for j in range(a.shape[2])]
    return {(p, q): float(a[:, p[0], p[1]] @ b[:, q[0], q[1]]) / len(a) for p in places for q in places}


def convolved(values: Values, bias: float) -> Values:
    shifts = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    return {
        (p, q): bias + sum(2 / 9 * values.get(((p[0] + i, p[1] + j), (q[0] + i, q[1] + j)), 0.0) for i, j in shifts)
        for p, q in values
    }


def rectified(s: Values, a: Values, b: Values) -> tuple[Values, Values]:
    after, share = {}, {}
    for p, q in s:
        scale = math.sqrt(a[p, p] * b[q, q])
        angle = math.acos(max(-1.0, min(1.0, s[p, q] / scale)))
        after[p, q] = scale * (math.sin(angle) + (math.pi - angle) * math.cos(angle)) / (2 * math.pi)
        share[p, q] = (math.pi - angle) / (2 * math.pi)
    return after, share


def pooled(values: Values) -> Values:
    side = (1 + max(p[0] for p, _ in values)) // 2
    found: Values = {}
    for (p, q), value in values.items():
        small = (p[0] // 2, p[1] // 2), (q[0] // 2, q[1] // 2)
        if max(*small[0], *small[1]) < side:
            found[small] = found.get(small, 0.0) + value / 16
    return found


def kernel_by_loops(x: Tensor, y: Tensor, blocks: int) -> float:
    """Return the kernel of two images `(ch, R, R)`, place by place."""
    own_x, own_y, cross = (convolved(products(a, b), 0.01) for a, b in ((x, x), (y, y), (x, y)))
    kernel = dict(cross)
    for layer in range(blocks + 1):
        after, share = rectified(cross, own_x, own_y)
        kernel = {at: share[at] * kernel[at] for at in kernel}
        own_x, own_y = (rectified(own, own, own)[0] for own in (own_x, own_y))
        if layer > 0:
            after, kernel, own_x, own_y = map(pooled, (after, kernel, own_x, own_y))
        if layer < blocks:
            own_x, own_y, cross = (convolved(values, 0.01) for values in (own_x, own_y, after))
            kernel = {at: cross[at] + value for at, value in convolved(kernel, 0.0).items()}
    same = [(p, q) for p, q in kernel if p == q]
    return 0.01 + 2 * sum(after[at] + kernel[at] for at in same) / len(same)


@pytest.mark.parametrize(("blocks", "side"), [(0, 3), (1, 2), (1, 3), (2, 5)])
def test_it_equals_loops_over_places(blocks: int, side: int) -> None:
    x, y = images(2, side), images(2, side, seed=1)
    found = conv_tangent_kernel(x, y, blocks=blocks)
    for row in range(2):
        for column in range(2):
            assert float(found[row, column]) == pytest.approx(kernel_by_loops(x[row], y[column], blocks), rel=1e-11)


def test_kernel_is_symmetric_positive_and_the_same_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.cat([images(5, 6), images(5, 6).flip(3)])
    whole = conv_tangent_kernel(x, x, blocks=2)
    torch.testing.assert_close(whole, whole.T, rtol=1e-9, atol=0)
    assert float(torch.linalg.eigvalsh(whole).min()) > 0
    monkeypatch.setattr(conv_ntk, "AT_ONCE", 1)
    torch.testing.assert_close(conv_tangent_kernel(x, x.clone(), blocks=2), whole, rtol=1e-12, atol=0)
    assert conv_tangent_kernel(x.float(), x.float(), blocks=2).dtype == torch.float64


def test_gradients_equal_finite_differences() -> None:
    first, second = images(2, 4).requires_grad_(), images(3, 4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, y: conv_tangent_kernel(x, y, blocks=1), (first, second), atol=1e-7)
    assert torch.autograd.gradcheck(lambda x: conv_tangent_kernel(x, x, blocks=2), first, atol=1e-5)


def test_gradients_are_finite_where_places_are_equal() -> None:
    flat = torch.zeros(3, 1, 4, 4, dtype=torch.float64)
    flat[1] = 1
    start = flat.clone().requires_grad_()
    targets = torch.eye(3, dtype=torch.float64)
    regression_loss(start, targets, flat, targets, kernel=kernel_named("convnet2")).backward()
    assert start.grad is not None
    assert bool(torch.isfinite(start.grad).all())


def test_kernels_by_name() -> None:
    x = images(3, 8)
    torch.testing.assert_close(kernel_named("fc")(x, x), tangent_kernel(x, x))
    torch.testing.assert_close(kernel_named("convnet3")(x, x), conv_tangent_kernel(x, x, blocks=3))


@pytest.mark.parametrize(
    ("name", "side", "said"),
    [
        ("convnet3", 7, "a kernel with 3 blocks needs images of 8 pixels and more; got 7; take fewer blocks"),
        ("convnet1", 128, r"got 32 GB at 128 pixels; set data.image_size to 90 or lower"),
    ],
)
def test_images_that_do_not_suit_a_kernel(name: str, side: int, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        require_kernel(name, side)  # pyright: ignore[reportArgumentType]
    require_kernel("fc", side)
