"""A default that changes makes its stage's version rise: results of the old default have the same key.

Settings at their default do not count towards a key (`Section.counted`), so stored results survive a new setting. The
defaults of every stage stand with its version in `stage_defaults.json`. To record them after a change:

    python tests/stages/test_stage_defaults.py
"""

import importlib
import inspect
import json
import pkgutil
from pathlib import Path
from typing import Any, get_type_hints

import pytest

import wmdd
from wmdd.methods.catalogue import builtin_methods
from wmdd.settings import Section
from wmdd.stages.stage import Stage

RECORD = Path(__file__).with_name("stage_defaults.json")
AGAIN = f"record the defaults: python tests/stages/{Path(__file__).name}"
Defaults = dict[str, Any]
"""Stage → `{"version": …, "defaults": {class of settings: {setting: default}}}`."""


def stages() -> dict[str, Stage]:
    """Return every stage of the package by name."""
    names = (found.name for found in pkgutil.walk_packages(wmdd.__path__, "wmdd.") if "__main__" not in found.name)
    values = [value for name in names for value in vars(importlib.import_module(name)).values()]
    return {value.name: value for value in values if isinstance(value, Stage)}


def taken(stage: Stage) -> list[type[Section]]:
    """Return the settings that a stage's function takes, and those that methods with this stage have in their place."""
    base = get_type_hints(inspect.unwrap(stage.run))["settings"]
    of_methods = {
        kind for method in builtin_methods().values() if stage.name in method.stages for kind in method.settings
    }
    found = {kind for kind in {base, *of_methods} if issubclass(kind, base)}
    return sorted(found, key=lambda kind: kind.__name__)


def defaults_now() -> Defaults:
    """Return the defaults of today's code."""
    found: Defaults = {}
    for name, stage in sorted(stages().items()):
        of_kinds = {
            kind.__name__: kind.model_construct().model_dump(mode="json", exclude=set(kind.free))
            for kind in taken(stage)
        }
        found[name] = {"version": stage.version, "defaults": of_kinds}
    return found


def stale(recorded: Defaults, now: Defaults) -> list[str]:
    """Return the settings whose default is another one under the same version of their stage."""
    return [
        f"{stage}: {kind}.{setting} was {old!r}, is {now[stage]['defaults'][kind][setting]!r}"
        for stage, known in recorded.items()
        if stage in now and now[stage]["version"] == known["version"]
        for kind, settings in known["defaults"].items()
        for setting, old in settings.items()
        if now[stage]["defaults"].get(kind, {}).get(setting, old) != old
    ]


@pytest.fixture(scope="module")
def recorded() -> Defaults:
    return dict(json.loads(RECORD.read_bytes()))


def test_a_changed_default_comes_with_a_new_version(recorded: Defaults) -> None:
    assert stale(recorded, defaults_now()) == [], "raise the stage's version, and say so in CHANGELOG.md"


def test_the_record_is_of_todays_stages(recorded: Defaults) -> None:
    assert recorded == defaults_now(), AGAIN


def test_what_is_stale() -> None:
    old = {"recover": {"version": 1, "defaults": {"Settings": {"lr": 0.1, "gone": 1}}}}
    same = {"recover": {"version": 1, "defaults": {"Settings": {"lr": 0.1, "new": 2}}}}
    assert stale(old, same) == []
    changed = {"recover": {"version": 1, "defaults": {"Settings": {"lr": 0.2}}}}
    assert stale(old, changed) == ["recover: Settings.lr was 0.1, is 0.2"]
    assert stale(old, {"recover": {**changed["recover"], "version": 2}}) == []


if __name__ == "__main__":
    RECORD.write_text(json.dumps(defaults_now(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
