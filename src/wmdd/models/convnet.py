"""ConvNet-D-W, the small network of the dataset-condensation papers (Zhao et al. 2021; Gidaris and Komodakis 2018)."""

from torch import Tensor, nn


class ConvNet(nn.Module):
    """`depth` blocks of conv 3x3 -> norm -> ReLU -> average pool 2, then one linear layer.

    The embedding is the last pool, flattened: `(B, width * side²)`. Grey 28 x 28 images are padded to 32 x 32 by the
    first convolution, so that three blocks end at 4 x 4 as they do for 32 x 32. `norm="in"` is one group per channel,
    without running statistics; such a network cannot be a teacher for recovery. `norm="nn"` has none at all.
    """

    def __init__(
        self, num_classes: int, channels: int, image_size: int, *, depth: int = 3, width: int = 128, norm: str = "in"
    ) -> None:
        super().__init__()
        padding = 3 if channels == 1 and image_size == 28 else 1
        side = (image_size + 2 * (padding - 1)) >> depth
        blocks: list[nn.Module] = []
        for index in range(depth):
            conv = nn.Conv2d(channels if index == 0 else width, width, 3, padding=padding if index == 0 else 1)
            blocks += [conv, _norm(norm, width), nn.ReLU(), nn.AvgPool2d(2)]
        self.blocks = nn.Sequential(*blocks)
        self.classifier = nn.Linear(width * side * side, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits `(B, C)` of images `(B, ch, R, R)`."""
        return self.classifier(self.embed(x))

    def embed(self, x: Tensor) -> Tensor:
        """Return the flattened output of the last pool, `(B, D)`."""
        return self.blocks(x).flatten(1)

    def get_classifier(self) -> nn.Linear:
        """Return the last layer, under timm's name for this method."""
        return self.classifier


def _norm(kind: str, width: int) -> nn.Module:
    if kind == "nn":
        return nn.Identity()
    return nn.BatchNorm2d(width) if kind == "bn" else nn.GroupNorm(width, width)
