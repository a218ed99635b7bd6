"""What the number of test images leaves open: the interval of an accuracy that was counted on n images."""

import math


def wilson(share: float, n: int, z: float = 1.96) -> tuple[float, float]:
    """Return Wilson's score interval of a proportion, as shares within [0, 1]; z = 1.96 for 95 %.

    It says how far the accuracy on further images of the same kind may be, seeds apart. Unlike share ± z·deviation it
    stays within [0, 1] and has a width at 0 and 1 too. `scipy.stats.binomtest` has it for whole counts, and a mean over
    students is none; the two agree where both apply.

    Args:
        share: share of right answers, in [0, 1]; a mean over students of the same n images will do.
        n: number of test images.
        z: standard normal quantile of the interval.

    Raises:
        ValueError: `share` is outside [0, 1], or `n` is below 1.
    """
    if not 0 <= share <= 1 or n < 1:
        raise ValueError(f"an interval needs a share in [0, 1] and at least 1 image; got {share} of {n}")
    scale = 1 + z * z / n
    centre = (share + z * z / (2 * n)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # Rounding must not put the interval's end on the wrong side of a share of 0 or 1.
    return min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half))


def half_width(share: float, n: int) -> float:
    """Return half the width of Wilson's 95 % interval, as a share; of 0.5, that of the widest one for n images."""
    low, high = wilson(share, n)
    return (high - low) / 2
