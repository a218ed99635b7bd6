"""The upper reference is the accuracy of a network that saw all real images."""

from dataclasses import replace

import pytest

from wmdd.errors import DataError
from wmdd.settings import NoSettings, SqueezeSettings
from wmdd.stages.full_data import assess_full_data
from wmdd.stages.squeeze import squeeze
from wmdd.values import ImageSet


def test_the_reference_scores_as_squeeze_tested_it(image_set: ImageSet, val_set: ImageSet) -> None:
    trained = squeeze(image_set, val_set, SqueezeSettings(arch="convnet1_w8", epochs=3, batch=12))
    (score,) = assess_full_data(trained, val_set, NoSettings(), seed=2).scores
    assert (score.set, score.student, score.labels, score.seed) == ("full data", "convnet1_w8", "hard", 2)
    assert score.top1 == score.top1_best == trained.top1
    assert score.top5 == 100.0
    with pytest.raises(DataError, match="disagree about the classes"):
        assess_full_data(trained, replace(val_set, classes=("x", "y", "z")), NoSettings(), seed=0)
