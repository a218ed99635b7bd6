"""Adam with one step size for each image: the second moment is a mean over pixels."""

from collections.abc import Callable
from typing import Any

import torch
from torch.optim.optimizer import ParamsT


class ImageAdam(torch.optim.Optimizer):
    """Adam whose second moment is one number for each image, the mean over its pixels of the squared gradient.

    Adam gives every pixel steps of the same size, however small its gradient is. A pixel at the border, which the
    random crops of few steps show, then wanders as far as one in the middle. Here it moves as far as its gradient says
    beside those of the image's other pixels.

        m <- beta_1 m + (1 - beta_1) g,  v <- beta_2 v + (1 - beta_2) mean(g²),  x <- x - lr m^ / (sqrt(v^) + eps)

    m^ and v^ are corrected for their start from zero, as in Adam (Kingma and Ba, arXiv:1412.6980, algorithm 1).

    Args:
        params: images `(n, ch, R, R)`.
        lr: root mean square of the first step's pixels.
        betas: of the moments.
        eps: keeps an image without a gradient where it is.
    """

    def __init__(
        self, params: ParamsT, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Make a step."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for images in group["params"]:
                if images.grad is not None:
                    self._step(images, group)
        return loss

    def _step(self, images: torch.Tensor, group: dict[str, Any]) -> None:
        state, gradient = self.state[images], images.grad
        if not state:
            state["step"] = torch.tensor(0.0)
            state["exp_avg"] = torch.zeros_like(gradient)
            state["exp_avg_sq"] = gradient.new_zeros(len(gradient), *(1,) * (gradient.ndim - 1))
        (first, second), count = group["betas"], int(state["step"]) + 1
        state["step"] += 1
        state["exp_avg"].lerp_(gradient, 1 - first)
        square = gradient.square().mean(tuple(range(1, gradient.ndim)), keepdim=True)
        state["exp_avg_sq"].lerp_(square, 1 - second)
        size = (state["exp_avg_sq"] / (1 - second**count)).sqrt() + group["eps"]
        images.sub_(state["exp_avg"] / size, alpha=group["lr"] / (1 - first**count))
