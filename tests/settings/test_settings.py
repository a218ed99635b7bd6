"""Settings: every mistake is one line that helps, and only what changes the answer counts."""

import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from wmdd.errors import ConfigError
from wmdd.methods.catalogue import builtin_methods, complete
from wmdd.methods.dsa import DsaSettings
from wmdd.settings import (
    BarycenterSettings,
    DataSettings,
    EvaluateSettings,
    RecoverSettings,
    Section,
    SqueezeSettings,
    StatisticsSettings,
    TrainSettings,
)

RECIPES = [complete({"method": name}) for name in builtin_methods()]
SECTIONS = {type(section) for recipe in RECIPES for _, section in recipe if isinstance(section, Section)}


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        (RecoverSettings, {"iterationz": 5}, "recover.iterationz: unknown setting; did you mean 'iterations'?"),
        (
            BarycenterSettings,
            {"qq": 5},
            "barycenter.qq: unknown setting; choose one of iterations, objective, starts, step, weights",
        ),
        (TrainSettings, {"epochs": 0}, "epochs: too small; got 0; give more than 0"),
        (SqueezeSettings, {"lr": -1}, "squeeze.lr: too small; got -1; give more than 0"),
        (
            DsaSettings,
            {"strategy": "crop_spin"},
            "dsa.strategy: must be none or some of color, crop, cutout, flip, scale, rotate, joined by underscores, "
            "each once; got 'crop_spin'",
        ),
        (
            RecoverSettings,
            {"bn": "some"},
            "recover.bn: unknown choice; got 'some'; give 'per_class', 'global', 'running' or 'none'",
        ),
        (BarycenterSettings, {"step": 2.0}, "barycenter.step: too large; got 2.0; give less than 2"),
        (DataSettings, {"image_size": 3}, "data.image_size: too small; got 3; give at least 4"),
    ],
)
def test_every_mistake_is_one_line(section: type[Section], values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        section(**values)
    assert str(caught.value) == message


@pytest.mark.parametrize("values", [{"students": ()}, {"protocols": ()}])
def test_evaluation_needs_a_student_and_a_protocol(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="evaluate: needs at least one student and one protocol") as caught:
        EvaluateSettings(**values)
    assert "\n" not in str(caught.value)


def test_what_changes_only_the_speed_does_not_count() -> None:
    assert StatisticsSettings(batch=7).counted() == StatisticsSettings(batch=8).counted() == {}
    assert DataSettings(workers=0, memory_gb=9).counted() == DataSettings().counted()
    assert DataSettings(image_size=32).counted() != DataSettings().counted()
    assert RecoverSettings().counted() != RecoverSettings(batch=3).counted()


@pytest.mark.parametrize("section", sorted(SECTIONS, key=lambda kind: kind.__name__))
def test_free_settings_exist_and_every_setting_is_explained(section: type[Section]) -> None:
    assert section.free <= set(section.model_fields)
    assert section.section
    assert all(info.description for info in section.model_fields.values())


def test_a_new_setting_with_a_neutral_default_leaves_the_keys_as_they_are() -> None:
    class Later(RecoverSettings):
        further: float = 0.0

    assert Later(lr=0.5).counted() == RecoverSettings(lr=0.5).counted() == {"lr": 0.5}
    assert Later(lr=0.5, further=1.0).counted() == {"lr": 0.5, "further": 1.0}


def test_copies_are_checked_and_the_original_stays() -> None:
    original = TrainSettings(epochs=3)
    assert original.with_(lr=0.5) == TrainSettings(epochs=3, lr=0.5)
    assert original == TrainSettings(epochs=3)
    with pytest.raises(ConfigError, match="epochs"):
        original.with_(epochs=0)
    with pytest.raises(ConfigError, match="unknown setting"):
        original.with_(epoch=5)
    with pytest.raises(ValidationError):
        original.epochs = 4  # type: ignore[misc]


def test_settings_and_protocols_are_read_without_torch() -> None:
    code = "import sys, wmdd.settings, wmdd.evaluation.protocols; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
