"""ZCA whitening of images as networks see them: all pixels decorrelated, each kept near its place.

With the mean m and the covariance S of the real images as vectors of P = ch R² numbers, and a ridge r against
directions that hardly vary,

    u = (x - m) W,   W = (S + r I)^(-1/2)

(Bell and Sejnowski 1997; "regularised" in KIP, Nguyen et al. 2021). Two ridges are in use: r = 0.1 of pixels in [0, 1]
(kornia's, in MTT and DC-BENCH), and r = 0.1 tr(S)/P of standardised channels (KIP). A whitening is one affine map of
normalised images, kept as a matrix `(P + 1, P)` whose last row is the offset, so that whoever trains on a whitened set
can repeat it on the images that are tested.

Differs from KIP's code, which also subtracts its mean from each image and divides it by its norm beforehand: that is
no map of the kind that a distilled image can be carried back through.
"""

import torch
from torch import Tensor

from wmdd.context import Context, sent
from wmdd.data.inputs import InputForm, network_inputs
from wmdd.data.loading import fetch_batches, in_order
from wmdd.errors import ConfigError
from wmdd.settings import Whitening
from wmdd.values import ImageSet

RIDGE = 0.1
MOST = 4096
"""Largest P: the covariance has P² numbers, and eigenvalues cost P³."""
_BATCH = 1000


def fit_whitening(train: ImageSet, form: InputForm, kind: Whitening, ctx: Context) -> Tensor | None:
    """Return the whitening of `train` under the normalisation of `form`, float32 `(P + 1, P)` on the CPU.

    None if there is to be none. Moments and eigenvalues are float64.

    Raises:
        ConfigError: the images are too large, or the device does not compute in float64.
    """
    if kind == "none":
        return None
    size = len(form.mean) * form.image_size**2
    require_whitening(kind, size)
    if ctx.device.type == "mps":
        raise ConfigError(f"ZCA needs float64; got device {ctx.device.type}; use --device cpu, or set zca none")
    mean, covariance = _moments(train, form, size, ctx)
    scale = torch.ones(size, dtype=torch.float64, device=ctx.device)
    if kind == "pixels":
        channels = torch.tensor(form.std, dtype=torch.float64)
        scale = sent(channels.repeat_interleave(form.image_size**2), ctx.device)
    scaled = scale[:, None] * covariance * scale
    ridge = RIDGE if kind == "pixels" else RIDGE * scaled.diagonal().mean()
    values, vectors = torch.linalg.eigh(scaled)
    root = (vectors * (values.clamp(min=0) + ridge).rsqrt()) @ vectors.T
    matrix = scale[:, None] * root
    return torch.cat([matrix, -(mean @ matrix)[None]]).float().cpu()


def require_whitening(kind: Whitening, size: int) -> None:
    """Refuse images of too many numbers for a whitening of this kind.

    Raises:
        ConfigError: they have more than `MOST`.
    """
    if kind != "none" and size > MOST:
        raise ConfigError(
            f"ZCA is for images of at most {MOST} numbers; got {size}; set data.image_size lower, or zca none"
        )


def whitened(images: Tensor, whitening: Tensor | None) -> Tensor:
    """Return normalised images `(B, ch, R, R)` after a whitening `(P + 1, P)` on their device; as they are for None."""
    if whitening is None:
        return images
    matrix = whitening.to(images.dtype)
    return torch.addmm(matrix[-1], images.flatten(1), matrix[:-1]).view_as(images)


def unwhitened(images: Tensor, whitening: Tensor | None) -> Tensor:
    """Return the normalised images whose whitening is `images` `(B, ch, R, R)`; as they are for None."""
    if whitening is None:
        return images
    matrix = whitening.double()
    back = torch.linalg.solve(matrix[:-1], images.flatten(1).double() - matrix[-1], left=False)
    return back.view_as(images).to(images.dtype)


def _moments(train: ImageSet, form: InputForm, size: int, ctx: Context) -> tuple[Tensor, Tensor]:
    """Return mean `(P,)` and biased covariance `(P, P)` of all images, float64 on the device."""
    total = torch.zeros(size, dtype=torch.float64, device=ctx.device)
    products = torch.zeros(size, size, dtype=torch.float64, device=ctx.device)
    fetched = fetch_batches(train, in_order(len(train), _BATCH), workers=ctx.workers, device=ctx.device)
    for _, pixels in fetched:
        rows = network_inputs(pixels, form).flatten(1).double()
        total += rows.sum(0)
        products.addmm_(rows.T, rows)
    mean = total / len(train)
    return mean, products / len(train) - torch.outer(mean, mean)
