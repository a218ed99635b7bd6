"""Train a network of your own on a distilled set, in a plain PyTorch loop, and test it on real pictures.

    python examples/train_on_a_distilled_set.py runs/mine path/to/pictures/val

The first argument is a run's folder, or its `distilled/`, as `wmdd distill` leaves it; the second a folder with one
folder per class. The loader replays the stored views with the teacher's soft labels; the loss is that of our own
students, in which an image's weight is divided by the mean of the set's.
"""

import sys
from pathlib import Path

import timm
import torch
import torch.nn.functional as F
from torch import nn
from torchvision import transforms
from torchvision.datasets import ImageFolder

import wmdd
from wmdd.product.reading import PortableSet


def train(small: PortableSet, arch: str = "resnet18", epochs: int = 300) -> nn.Module:
    """Return a timm network trained on `small`."""
    model = timm.create_model(arch, num_classes=len(small.classes), in_chans=small.images.shape[1])
    temperature = small.soft_labels.temperature
    loader = small.loader(batch_size=100, epochs=epochs)
    optimiser = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, len(loader))
    for images, targets, weights in loader:
        log_student = F.log_softmax(model(images) / temperature, dim=1)
        loss = (weights * F.kl_div(log_student, targets, reduction="none").sum(dim=1)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return model.eval()


@torch.inference_mode()
def accuracy(model: nn.Module, small: PortableSet, pictures: str | Path) -> float:
    """Return the share of pictures, in per cent, that the model classifies correctly."""
    steps = [transforms.Resize(small.image_size), transforms.CenterCrop(small.image_size)]
    grey = [transforms.Grayscale()] if small.images.shape[1] == 1 else []
    normalise = [transforms.ToTensor(), transforms.Normalize(small.mean, small.std)]
    real = ImageFolder(pictures, transforms.Compose([*steps, *grey, *normalise]))
    if tuple(real.classes) != small.classes:
        raise SystemExit(f"other classes than the set's; got {real.classes[:3]} ...; give the pictures it came from")
    batches = torch.utils.data.DataLoader(real, batch_size=100)
    hits = sum(int((model(images).argmax(dim=1) == labels).sum()) for images, labels in batches)
    return 100 * hits / len(real)


def main(run: str | Path, pictures: str | Path, arch: str = "resnet18", epochs: int = 300) -> float:
    """Train, test, print and return the accuracy."""
    small = wmdd.load(run)
    top1 = accuracy(train(small, arch, epochs), small, pictures)
    print(f"{arch} trained on {len(small.labels)} images: top-1 {top1:.1f} %")
    return top1


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
