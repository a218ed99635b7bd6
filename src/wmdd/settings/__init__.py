"""Typed settings, one section for each stage; the sentence under a field is its help text.

Free of torch, so that the command line can answer quickly. Which sections make up a run is `wmdd.pipeline.recipe`'s
business.
"""

from wmdd.settings.chain import (
    BarycenterSettings,
    DataSettings,
    EvaluateSettings,
    RecoverSettings,
    RelabelSettings,
    SqueezeSettings,
    StatisticsSettings,
    TrainSettings,
    ViewSettings,
)
from wmdd.settings.section import Fraction, NonNegative, Positive, Rate, Section, one_line

__all__ = [
    "BarycenterSettings",
    "DataSettings",
    "EvaluateSettings",
    "Fraction",
    "NonNegative",
    "Positive",
    "Rate",
    "RecoverSettings",
    "RelabelSettings",
    "Section",
    "SqueezeSettings",
    "StatisticsSettings",
    "TrainSettings",
    "ViewSettings",
    "one_line",
]
