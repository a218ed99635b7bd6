"""What casts doubt on a run: pixels at bounds, students below random images, a teacher that has seen, few tests."""

import math

import torch
from torch import Tensor

from wmdd.data.loading import centre_crop
from wmdd.evaluation.comparison import Comparison, blocks, comparisons
from wmdd.evaluation.differences import Difference
from wmdd.evaluation.proportion import half_width
from wmdd.evaluation.rows import BASELINE, Row, Scores
from wmdd.mapped import row_blocks
from wmdd.methods.method import Method
from wmdd.settings import SqueezeSettings
from wmdd.values import DistilledSet, ImageSet
from wmdd.warnings import RunWarning

MANY = 0.5
"""Share of pixel values at their bounds from which on a set is compared with the real images."""
SAMPLE = 256
"""Real images, evenly spaced, whose pixels are looked at."""
FEW = 100
"""Test images below which a run warns of their number."""


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
    counted = sum(int(((images[rows] == 0) | (images[rows] == 255)).sum()) for rows in row_blocks(images))
    return counted / images.numel()


def below_random(scores: Scores, method: Method, *, tested: int) -> list[RunWarning]:
    """Return a warning if a method's students are below those of random images by more than the noise.

    Noise is what `tested` test images leave open, two standard errors of the difference of two shares, and, where it is
    known, the interval of the paired difference. Single students, whose error is not known, are no finding, but reason
    enough to look.
    """
    if method.name == BASELINE:
        return []
    compared = comparisons(blocks(scores), method.name)
    behind = [found for pair in compared if (found := _shortfall(pair, tested)) is not None]
    if not behind:
        return []
    apart, row, baseline = min(behind, key=lambda entry: entry[0].value)
    more = "" if len(compared) == 1 else f", and in {len(behind)} of {len(compared)} comparisons"
    advice = "" if method.real else f"look at its losses in the report, lower {_rates(method)}, or "
    text = (
        f"{row.set} teaches less than as many random images: {row.figure} % beside {baseline.figure} % ({row.student}, "
        f"protocol {row.protocol}, {row.labels} labels), difference {apart.text}{more}; "
        f"{advice}evaluate it under the protocol that it was made for"
    )
    return [RunWarning(kind="below random", text=text, count=len(behind))]


def few_test_images(val: ImageSet) -> list[RunWarning]:
    """Return a warning if there are too few test images for any accuracy to say much."""
    count = len(val)
    if count >= FEW:
        return []
    text = (
        f"{count} test image{'' if count == 1 else 's'}: an accuracy of 50 % is known to ± "
        f"{100 * half_width(0.5, count):.0f} points only (95 %, binomial); test on {FEW} or more"
    )
    return [RunWarning(kind="few test images", text=text, count=count)]


def _shortfall(pair: Comparison, tested: int) -> tuple[Difference, Row, Row] | None:
    """Return the difference with its row and its baseline if the row is below the baseline by more than the noise."""
    apart, baseline = pair.difference, pair.baseline
    if apart is None or baseline is None:
        return None
    shares = [row.mean / 100 for row in (pair.row, baseline)]
    left_open = 2 * 100 * math.sqrt(sum(share * (1 - share) for share in shares) / tested)
    below = -apart.value > left_open and (apart.error is None or apart.sign < 0)
    return (apart, pair.row, baseline) if below else None


def _rates(method: Method) -> str:
    """Return the learning rates of a method's images among the settings, in words."""
    own = {"recover", method.name.replace("-", "_")}
    named = [f"{kind.section}.lr" for kind in method.settings if kind.section in own and "lr" in kind.model_fields]
    return " or ".join(named) or "its learning rate"
