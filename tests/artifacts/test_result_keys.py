"""What changes a key, and what does not."""

from typing import Any, Literal, get_args, get_origin

import pytest

from wmdd.artifacts.keys import LENGTH, result_key
from wmdd.settings import (
    BarycenterSettings,
    EvaluateSettings,
    RecoverSettings,
    RelabelSettings,
    Section,
    SqueezeSettings,
    StatisticsSettings,
)

SECTIONS = (
    SqueezeSettings,
    StatisticsSettings,
    BarycenterSettings,
    RecoverSettings,
    RelabelSettings,
    EvaluateSettings,
)
OTHERS: dict[tuple[type[Section], str], Any] = {
    (EvaluateSettings, "batch"): 3,
    (EvaluateSettings, "epochs"): 3,
    (EvaluateSettings, "references"): ("random",),
    (RecoverSettings, "residual_share"): 0.3,
    (RelabelSettings, "passes"): 3,
    (SqueezeSettings, "mean"): ("imagenet",),
    (SqueezeSettings, "std"): ("imagenet",),
}
FIELDS = [(section, name) for section in SECTIONS for name in section.model_fields]


def another(section: type[Section], name: str) -> Any:
    """Return a valid value of a setting that is not its default."""
    if (section, name) in OTHERS:
        return OTHERS[section, name]
    value, kind = getattr(section(), name), section.model_fields[name].annotation
    if get_origin(kind) is Literal:
        return next(choice for choice in get_args(kind) if choice != value)
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return {"zeta": 2.0, "ema": 0.5, "momentum": 0.5}.get(name, value / 2 + 0.25)
    if isinstance(value, tuple):
        return ("another",)
    return "another" if isinstance(value, str) or str not in get_args(kind) else "file.pt"


def key_of(settings: Section) -> str:
    return result_key("stage", 1, settings.counted(), ["input"])


@pytest.mark.parametrize(("section", "name"), FIELDS, ids=lambda value: getattr(value, "section", value))
def test_every_setting_that_can_change_the_answer_changes_the_key(section: type[Section], name: str) -> None:
    plain = {"checkpoint": "file.pt"} if name == "classes" else {}  # they are those of a checkpoint
    before, changed = section(**plain), section(**plain, **{name: another(section, name)})
    assert getattr(changed, name) != getattr(before, name)
    assert (key_of(changed) == key_of(before)) == (name in section.free)


def test_stage_version_inputs_and_their_order_change_the_key() -> None:
    keys = [
        result_key("recover", 1, {"lr": 0.1}, ["a", "b"]),
        result_key("relabel", 1, {"lr": 0.1}, ["a", "b"]),
        result_key("recover", 2, {"lr": 0.1}, ["a", "b"]),
        result_key("recover", 1, {"lr": 0.2}, ["a", "b"]),
        result_key("recover", 1, {"lr": 0.1, "seed": 0}, ["a", "b"]),
        result_key("recover", 1, {"lr": 0.1}, ["b", "a"]),
        result_key("recover", 1, {"lr": 0.1}, ["a"]),
    ]
    assert len(set(keys)) == len(keys)


def test_the_order_of_settings_does_not_count_and_keys_are_short_hexadecimal() -> None:
    first = result_key("recover", 1, {"a": 1, "b": 2}, [])
    assert first == result_key("recover", 1, {"b": 2, "a": 1}, [])
    assert len(first) == LENGTH
    assert int(first, 16) >= 0


def test_a_key_is_the_same_on_every_machine() -> None:
    # Written down once: results that were stored by an older version must be found again.
    assert result_key("squeeze", 1, {"epochs": 2}, ["data"]) == "ad1fc5067c9e"
