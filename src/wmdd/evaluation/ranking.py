"""DD-Ranking's scores: the value of images apart from their labels, and apart from augmentation.

Li et al. 2025 (arXiv:2505.13300), from the published formulas. Accuracies are fractions in [0, 1], after the last
epoch, under protocols fixed beforehand. The released code differs, and its numbers are not comparable with these: it
puts per cents into the exponential, which drives nearly every method to one end of the scale, keeps the best accuracy
over epochs and five learning rates on the test images, and is not repeatable (its seed is the clock).
"""

import math
from collections.abc import Mapping
from typing import Any

from wmdd.evaluation.real_names import is_pool
from wmdd.evaluation.rows import Conditions, Scores, number, summarise

PLAIN = {"ars": {"dc": "dc_noaug"}, "ars_published": {"dc": "dc_plain"}}
"""Score → protocols with augmentation, and their counterparts without: in as many epochs, and as DC published it, in
300 epochs of 1000."""


def hard_label_recovery(real: float, distilled: float) -> float:
    """Return HLR = acc(all real images, hard labels) - acc(set, hard labels); lower is better."""
    return _fraction(real) - _fraction(distilled)


def improvement_over_random(distilled: float, random: float) -> float:
    """Return IOR = acc(set, its recipe) - acc(as many random images, the same recipe); higher is better."""
    return _fraction(distilled) - _fraction(random)


def label_robust_score(ior: float, hlr: float, *, weight: float = 0.5) -> float:
    """Return LRS of alpha = weight · IOR - (1 - weight) · HLR; 0.27 for a set level with both references."""
    return _scaled(weight * ior - (1 - weight) * hlr)


def augmentation_robust_score(with_: float, without: float, *, weight: float = 0.5) -> float:
    """Return ARS of beta = weight · (gain with augmentation) + (1 - weight) · (gain without).

    A gain is an `improvement_over_random`.
    """
    return _scaled(weight * with_ + (1 - weight) * without)


def _scaled(value: float) -> float:
    """Return (e^value - e^-1) / (e - e^-1): -1 becomes 0, 1 becomes 1."""
    return (math.exp(value) - math.exp(-1)) / (math.e - math.exp(-1))


def _fraction(accuracy: float) -> float:
    if not 0 <= accuracy <= 1:
        raise ValueError(f"accuracies are fractions here; got {accuracy}; divide per cents by 100")
    return accuracy


Means = Mapping[tuple[str, Conditions], float]
"""(set, conditions) → mean accuracy over seeds, a fraction."""


def ranking_rows(evaluations: Scores, full_data: Scores, *, random: str) -> list[dict[str, Any]]:
    """Return the scores of each set and student that the evaluations allow, ready for JSON.

    IOR needs random images under the same conditions; HLR the same student on all real images, and on the set with hard
    labels (under the row's protocol, or else under the first with hard labels); LRS both; ARS a protocol with
    augmentation and its counterpart without, in as many epochs or, as `ars_published`, as it was published.

    Args:
        evaluations: scores as in `metrics.json`, of sets of one size; those of pools of real images do not count.
        full_data: scores of students trained on all real images.
        random: name of the set of random images.
    """
    means = _means(evaluations)
    real = {conditions.student: value for (_, conditions), value in _means(full_data).items()}
    rows = [_row(means, real, key, random) for key in means if key[0] != random and not is_pool(key[0])]
    return [row for row in rows if len(row) > len(_NAMES)]


_NAMES = ("set", "student", "protocol", "labels")


def _means(scores: Scores) -> Means:
    # The mean of fractions differs in the last bit from the fraction of the mean, which the tables show.
    fractions = [{**score, "top1": value / 100} for score in scores if (value := number(score.get("top1"))) is not None]
    return {(row.set, row.conditions): row.mean for row in summarise(fractions)}


def _row(means: Means, real: Mapping[str, float], key: tuple[str, Conditions], random: str) -> dict[str, Any]:
    name, conditions = key
    student, protocol, labels = conditions.student, conditions.protocol, conditions.labels
    row: dict[str, Any] = dict(zip(_NAMES, (name, student, protocol, labels), strict=True))
    ior = _gain(means, key, random)
    hard = {
        other.protocol: value
        for (of, other), value in means.items()
        if (of, other.student, other.labels) == (name, student, "hard")
    }
    if ior is not None:
        row["ior"] = ior
    if hard and student in real:
        row["hlr"] = hard_label_recovery(real[student], hard.get(protocol, next(iter(hard.values()))))
    if ior is not None and "hlr" in row:
        row["lrs"] = label_robust_score(ior, row["hlr"])
    for score, counterparts in PLAIN.items():
        plain = next((_gain(means, other, random) for other in means if _is_plain(other, key, counterparts)), None)
        if ior is not None and plain is not None:
            row[score] = augmentation_robust_score(ior, plain)
    return row


def _is_plain(other: tuple[str, Conditions], key: tuple[str, Conditions], counterparts: Mapping[str, str]) -> bool:
    """Return whether `other` is the counterpart of `key` without augmentation."""
    (of, found), (name, conditions) = other, key
    protocol, comma, departs = conditions.protocol.partition(",")
    plain = counterparts.get(protocol, "") + comma + departs
    same = (of, found.student, found.labels) == (name, conditions.student, conditions.labels)
    return same and protocol in counterparts and found.protocol == plain


def _gain(means: Means, key: tuple[str, Conditions], random: str) -> float | None:
    """Return a set's improvement over random images; None if one of the two is unknown."""
    baseline = (random, key[1])
    return improvement_over_random(means[key], means[baseline]) if key in means and baseline in means else None
