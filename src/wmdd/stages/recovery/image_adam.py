"""Adam whose steps have one size for each image, not for each pixel."""

from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT


class ImageAdam(torch.optim.Optimizer):
    """Adam whose second moment is one number for each image, the mean over its pixels of the squared gradient.

    Adam gives every pixel steps of about one size, however small its gradient is. A pixel at the border, which few
    random crops show, then wanders as far as one in the middle: recovered images have coloured borders. Here a pixel
    moves as far as its gradient says beside those of the image's other pixels.

        m <- beta_1 m + (1 - beta_1) g,  v <- beta_2 v + (1 - beta_2) mean(g²),  x <- x - lr m^ / (sqrt(v^) + eps)

    m^ and v^ are corrected for their start from zero, as in Adam (Kingma and Ba, arXiv:1412.6980, algorithm 1), whose v
    has a number for each pixel.
    """

    def __init__(
        self, params: ParamsT, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8
    ) -> None:
        """Take up images.

        Args:
            params: images `(n, ch, R, R)`, or groups of them.
            lr: root mean square over an image of its first step.
            betas: of the first and the second moment.
            eps: lets an image without a gradient stay.
        """
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Make a step."""
        for group in self.param_groups:
            for images in group["params"]:
                if images.grad is not None:
                    self._move(images, images.grad, group)

    def _move(self, images: Tensor, gradients: Tensor, group: dict[str, Any]) -> None:
        state, pixels = self.state[images], tuple(range(1, images.ndim))
        squares = gradients.square().mean(pixels, keepdim=True)
        if not state:
            state["step"] = torch.zeros(())  # on the CPU, where torch leaves it when a state is loaded
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(gradients), torch.zeros_like(squares)
        state["step"] += 1
        state["exp_avg"].lerp_(gradients, 1 - group["betas"][0])
        state["exp_avg_sq"].lerp_(squares, 1 - group["betas"][1])
        first, second = (1 - beta ** float(state["step"]) for beta in group["betas"])
        size = (state["exp_avg_sq"] / second).sqrt() + group["eps"]
        images.sub_(state["exp_avg"] / size, alpha=group["lr"] / first)
