"""The public names, and the small decisions of the Python functions."""

from pathlib import Path

import pytest

import wmdd
from wmdd.requests.distill import distill_request


def test_every_public_name_is_there() -> None:
    for name in wmdd.__all__:
        assert getattr(wmdd, name).__module__.startswith("wmdd")
    assert set(dir(wmdd)) == {*wmdd.__all__, "__version__"}
    with pytest.raises(AttributeError, match="no attribute 'distil'"):
        wmdd.distil  # noqa: B018  # pyright: ignore


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("digits", "digits-wmdd"),
        ("/data/imagenette/", "imagenette-wmdd+"),
        ("hf:owner/pictures", "pictures-wmdd+"),
        ("/", "data-wmdd+"),
    ],
)
def test_where_a_run_goes_that_was_not_told(data: str, name: str) -> None:
    assert distill_request(data, {"ipc": 3}).out == Path("runs") / f"{name}-ipc3"


def test_wrong_settings_are_named(tmp_path: Path) -> None:
    with pytest.raises(wmdd.WmddError, match=r"did you mean 'recover.lr'"):
        wmdd.distill("digits", out=tmp_path, recover={"lrr": 0.1})
    with pytest.raises(wmdd.WmddError, match="unknown recipe"):
        wmdd.distill("digits", out=tmp_path, recipe="digit")
    with pytest.raises(wmdd.WmddError, match="not a distilled set"):
        wmdd.evaluate(tmp_path, "digits")
