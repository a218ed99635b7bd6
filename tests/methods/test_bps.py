"""BPS: budgets, margins against densities of scipy, centres by hand, and classes of two patterns."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, strategies
from scipy.optimize import brentq
from scipy.stats import norm

from memory_context import MemoryContext
from wmdd.errors import DataError
from wmdd.methods.bps import BpsSettings
from wmdd.methods.bps.distill import balanced_rows, pattern_budgets, pick_patterns
from wmdd.methods.bps.margins import crossing, margin_bounds, margin_rows
from wmdd.methods.herding.distill import HERDING
from wmdd.settings import NoSettings
from wmdd.values import ClassStatistics, ImageSet, Teacher


@pytest.mark.parametrize(
    ("counts", "ipc", "budgets"),
    [
        ([50, 30, 20], 10, [5, 3, 2]),
        ([70, 15, 15], 3, [3, 0, 0]),  # 2.1, 0.45, 0.45 make 2: the largest gets what is left
        ([40, 35, 25], 2, [1, 1, 0]),  # 0.8, 0.7, 0.5: halves to even
        ([26, 25, 25, 24], 2, [2, 0, 0, 0]),  # 0.52, 0.5, 0.5, 0.48 make 1: the largest gets the other one too
        ([3, 0, 2], 5, [3, 0, 2]),
    ],
)
def test_budgets_by_hand(counts: list[int], ipc: int, budgets: list[int]) -> None:
    assert pattern_budgets(np.array(counts), ipc).tolist() == budgets


@given(strategies.lists(strategies.integers(0, 40), min_size=1, max_size=9), strategies.floats(0, 1))
def test_budgets_add_up_and_no_pattern_gives_more_than_it_has(counts: list[int], share: float) -> None:
    total = sum(counts)
    if total == 0:
        return
    ipc = max(1, round(share * total))
    found = pattern_budgets(np.array(counts), ipc)
    assert found.sum() == ipc
    assert all(0 <= budget <= count for budget, count in zip(found, counts, strict=True))


@pytest.mark.parametrize("parts", [(0.0, 1.0, 1.0, 1.0, 0.5), (0.1, 2.0, 0.3, 0.9, 0.7), (-1.0, 0.5, 0.7, 0.2, 0.4)])
def test_the_densities_agree_at_the_crossing(parts: tuple[float, ...]) -> None:
    low, high, one, other, share = parts

    def gap(x: float) -> float:
        return float(share * norm.pdf(x, low, one) - (1 - share) * norm.pdf(x, high, other))

    found = crossing(np.array([low, high]), np.array([one, other]) ** 2, np.array([share, 1 - share]))
    assert found == pytest.approx(brentq(gap, low, high), abs=1e-8)


def test_no_crossing_between_the_means_is_infinity() -> None:
    assert crossing(np.array([0.0, 0.1]), np.array([1.0, 1.0]), np.array([0.99, 0.01])) == math.inf
    assert margin_bounds(np.full(12, 0.5), 0) == (0.5, math.inf)


def test_the_margin_leaves_out_what_is_beyond() -> None:
    """Twelve hard images around 1, eight around 3: the mixture's lower mean is near 1, its crossing between."""
    draws = np.random.default_rng(0)
    easy, hard, wrong = np.zeros(20), draws.normal(1.0, 0.05, 12), draws.normal(3.0, 0.05, 8)
    entropies = np.concatenate([easy, hard, wrong])
    lower, upper = margin_bounds(entropies[20:], 2**63 - 1)
    assert lower == pytest.approx(hard.mean(), abs=0.01)
    assert hard.max() < upper < wrong.min()
    found = margin_rows(entropies, 3, share=0.5, seed=0)
    above = np.sort(hard[hard >= lower])
    assert entropies[found].tolist() == above[:3].tolist()
    every = margin_rows(entropies, 40, share=0.5, seed=0)
    assert sorted(every.tolist()) == list(range(40))
    assert entropies[every[:12]].tolist() == [*above, *np.sort(hard[hard < lower])[::-1]]
    assert set(every[-8:].tolist()) == set(range(32, 40))


def test_no_image_needs_no_fit() -> None:
    assert margin_rows(np.linspace(0, 1, 30), 0, share=0.2, seed=0).tolist() == []


def test_few_images_give_their_most_uncertain_ones() -> None:
    assert margin_rows(np.array([0.1, 0.9, 0.5, 0.9]), 2, share=0.2, seed=0).tolist() == [1, 3]


def test_centres_come_first_then_the_margin() -> None:
    """Points on the circle at 0, 10, 20, 30 and 60 degrees: their mean points to about 23 degrees."""
    angles = np.deg2rad([0.0, 10.0, 20.0, 30.0, 60.0])
    points, entropies = np.stack([np.cos(angles), np.sin(angles)], axis=1), np.array([0.3, 0.2, 0.9, 0.1, 0.8])
    settings = BpsSettings()
    assert balanced_rows(points, entropies, 1, settings, 0).tolist() == [2]
    assert balanced_rows(points, entropies, 2, settings, 0).tolist() == [2, 4]
    assert balanced_rows(points, entropies, 3, settings, 0).tolist() == [2, 3, 4]
    assert balanced_rows(points, entropies, 2, BpsSettings(centres=0.0), 0).tolist() == [2, 4]
    assert balanced_rows(points, entropies, 2, BpsSettings(centres=1.0), 0).tolist() == [2, 3]


def test_two_patterns_give_by_their_size(
    image_set: ImageSet, teacher: Teacher, class_statistics: ClassStatistics
) -> None:
    """Eight images of each class point one way, four another: at six images each they give four and two."""
    features = torch.zeros_like(class_statistics.features)
    noise = 0.01 * torch.rand(features.shape, generator=torch.Generator().manual_seed(2))
    for label in range(3):
        features[12 * label : 12 * label + 8, 0] = 1.0
        features[12 * label + 8 : 12 * label + 12, 1] = 1.0
    ctx = MemoryContext()
    statistics = replace(class_statistics, features=features + noise)
    found = pick_patterns(image_set, teacher, statistics, BpsSettings(patterns=2), ipc=6, ctx=ctx)
    for label, row in enumerate(ctx.rows):
        assert sorted(row["patterns"]) == [4, 8]
        assert sorted(row["budgets"]) == [2, 4]
        members = image_set.images.fetch(image_set.of_class(label).tolist())
        places = [
            next(at for at in range(12) if torch.equal(members[at], image))
            for image in found.images[6 * label : 6 * label + 6]
        ]
        assert len(set(places)) == 6
        assert [place < 8 for place in places] == [True] * 4 + [False] * 2


def test_one_image_is_that_of_herding(image_set: ImageSet, teacher: Teacher, class_statistics: ClassStatistics) -> None:
    found = pick_patterns(image_set, teacher, class_statistics, BpsSettings(), ipc=1)
    assert torch.equal(found.images, HERDING.run(image_set, teacher, class_statistics, NoSettings(), ipc=1).images)


def test_statistics_of_other_images_are_refused(
    image_set: ImageSet, teacher: Teacher, class_statistics: ClassStatistics
) -> None:
    other = replace(class_statistics, counts=(11, 13, 12))
    with pytest.raises(DataError, match="statistics and images do not belong together"):
        pick_patterns(image_set, teacher, other, BpsSettings(), ipc=1)
    with pytest.raises(DataError, match="got ipc 13"):
        pick_patterns(image_set, teacher, class_statistics, BpsSettings(), ipc=13)
