"""What casts doubt on a run: pixels at their bounds, students below those of random images, a teacher that has seen."""

import torch
from torch import Tensor

from wmdd.data.loading import centre_crop
from wmdd.evaluation.comparison import BASELINE, Scores, blocks, comparisons
from wmdd.methods.method import Method
from wmdd.settings import SqueezeSettings
from wmdd.values import DistilledSet, ImageSet
from wmdd.warnings import RunWarning

MANY = 0.5
"""Share of pixel values at their bounds from which on a set is compared with the real images."""
SAMPLE = 256
"""Real images, evenly spaced, whose pixels are looked at."""


def saturation(distilled: DistilledSet, train: ImageSet, method: Method) -> list[RunWarning]:
    """Return a warning if optimisation has driven the pixels of a set to black and white.

    That is so if more than half of all pixel values are 0 or 255, and the share of those that are not is less than half
    of what it is in the real images: drawings and digits are mostly black and white themselves.
    """
    share = saturated_share(distilled.images)
    if method.real or share <= MANY:
        return []
    positions = torch.arange(min(SAMPLE, len(train))) * len(train) // min(SAMPLE, len(train))
    real = saturated_share(centre_crop(train.images.fetch(positions.tolist()), train.image_size))
    if 1 - share >= (1 - real) / 2:
        return []
    text = (
        f"{distilled.method}: {100 * share:.0f} % of the images' pixel values are black or white (of the real images' "
        f"{100 * real:.0f} %): they ran into the bounds; lower {_rates(method)}"
    )
    return [RunWarning(kind="saturated pixels", text=text, count=len(distilled.labels))]


def seen_development(tested: ImageSet, settings: SqueezeSettings) -> list[RunWarning]:
    """Return a warning if the teacher comes from elsewhere and so may know the development images."""
    given = "squeeze.checkpoint" if settings.checkpoint is not None else "squeeze.pretrained"
    if tested.development is None or (settings.checkpoint is None and not settings.pretrained):
        return []
    text = (
        f"the teacher of {given} may have been trained on the {len(tested)} development images, which are cut from the "
        "training images; its accuracy may be too high, and so may those of students; train it here to choose settings"
    )
    return [RunWarning(kind="development images seen", text=text, count=len(tested))]


def saturated_share(images: Tensor) -> float:
    """Return the share of pixel values of uint8 images that are 0 or 255."""
    return float(((images == 0) | (images == 255)).float().mean())


def below_random(scores: Scores, method: Method, *, tested: int) -> list[RunWarning]:
    """Return a warning if a method's students are below those of random images by more than the noise.

    `tested` is the number of test images.
    """
    if method.name == BASELINE:
        return []
    compared = comparisons(blocks(scores), method.name)
    behind = [pair for pair in compared if pair.behind(tested)]
    if not behind:
        return []
    worst = min(behind, key=lambda pair: pair.gap or 0.0)
    row, baseline = worst.row, worst.baseline
    assert baseline is not None
    more = "" if len(compared) == 1 else f", and in {len(behind)} of {len(compared)} comparisons"
    advice = "" if method.real else f"look at its losses in the report, lower {_rates(method)}, or "
    text = (
        f"{row.set} teaches less than as many random images: {row.text} % beside {baseline.text} % ({row.student}, "
        f"protocol {row.protocol}, {row.labels} labels){more}; "
        f"{advice}evaluate it under the protocol that it was made for"
    )
    return [RunWarning(kind="below random", text=text, count=len(behind))]


def _rates(method: Method) -> str:
    """Return the learning rates of a method's images among the settings, in words."""
    own = {"recover", method.name.replace("-", "_")}
    named = [f"{kind.section}.lr" for kind in method.settings if kind.section in own and "lr" in kind.model_fields]
    return " or ".join(named) or "its learning rate"
