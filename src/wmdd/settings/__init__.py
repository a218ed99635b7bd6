"""Typed settings, one section for each stage; the sentence under a field is its help text.

Free of torch, so that the command line can answer quickly. Which sections make up a run is `wmdd.pipeline.recipe`'s
business.
"""

from wmdd.settings.bilevel import DdSettings, ExpertsSettings, KipSettings, MttSettings
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
from wmdd.settings.coresets import KMeansSettings, RdedSettings
from wmdd.settings.inversion import (
    GvbsmRecoverSettings,
    GvbsmSettings,
    MmdSettings,
    ScddSettings,
    SelfSupervisedSettings,
)
from wmdd.settings.matching import DcSettings, DmSettings, DsaSettings, GradientSettings, MatchingSettings
from wmdd.settings.section import Fraction, NonNegative, Positive, Rate, Section, one_line
from wmdd.settings.strategy import DSA_GROUPS, FULL_DSA, NO_DSA, Strategy, strategy_groups

__all__ = [
    "DSA_GROUPS",
    "FULL_DSA",
    "NO_DSA",
    "BarycenterSettings",
    "DataSettings",
    "DcSettings",
    "DdSettings",
    "DmSettings",
    "DsaSettings",
    "EvaluateSettings",
    "ExpertsSettings",
    "Fraction",
    "GradientSettings",
    "GvbsmRecoverSettings",
    "GvbsmSettings",
    "KMeansSettings",
    "KipSettings",
    "MatchingSettings",
    "MmdSettings",
    "MttSettings",
    "NonNegative",
    "Positive",
    "Rate",
    "RdedSettings",
    "RecoverSettings",
    "RelabelSettings",
    "ScddSettings",
    "Section",
    "SelfSupervisedSettings",
    "SqueezeSettings",
    "StatisticsSettings",
    "Strategy",
    "TrainSettings",
    "ViewSettings",
    "one_line",
    "strategy_groups",
]
