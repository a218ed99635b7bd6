"""Typed settings, one section for each stage; the sentence under a field is its help text.

Free of torch, so that the command line answers quickly. `recipe` puts the sections of a run together.
"""

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from wmdd.settings.chain import (
    BarycenterSettings,
    EvaluateSettings,
    RelabelSettings,
    SqueezeSettings,
    StatisticsSettings,
    TrainSettings,
)
from wmdd.settings.data import DataSettings, TangentKernel, ViewSettings, Whitening
from wmdd.settings.recipe import Recipe
from wmdd.settings.recovery import (
    FeatureMatchingSettings,
    InversionSettings,
    KernelSettings,
    OptimisationSettings,
    RecoverSettings,
)
from wmdd.settings.section import Fraction, NoSettings, Section
from wmdd.settings.strategy import DSA_GROUPS, FULL_DSA, NO_DSA, Strategy, strategy_groups

__all__ = [
    "DSA_GROUPS",
    "FULL_DSA",
    "NO_DSA",
    "BarycenterSettings",
    "DataSettings",
    "EvaluateSettings",
    "FeatureMatchingSettings",
    "Fraction",
    "InversionSettings",
    "KernelSettings",
    "NoSettings",
    "NonNegativeFloat",
    "NonNegativeInt",
    "OptimisationSettings",
    "PositiveFloat",
    "PositiveInt",
    "Recipe",
    "RecoverSettings",
    "RelabelSettings",
    "Section",
    "SqueezeSettings",
    "StatisticsSettings",
    "Strategy",
    "TangentKernel",
    "TrainSettings",
    "ViewSettings",
    "Whitening",
    "strategy_groups",
]
