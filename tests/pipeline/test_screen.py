"""What functions show by themselves, in a script and in a notebook, and that commands show it once."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from rich.console import Console

import wmdd
from wmdd.cli.main import main
from wmdd.errors import WmddError
from wmdd.pipeline import screen as screen_module
from wmdd.pipeline.screen import Screen, following
from wmdd.pipeline.watchers import Watcher

ARCH = "convnet1_w8_bn"
WORDS = ["--ipc", "1", "--device", "cpu", "--squeeze.arch", ARCH, "--squeeze.epochs", "1", "--until", "squeeze"]
SETTINGS: dict[str, Any] = {"ipc": 1, "device": "cpu", "squeeze": {"arch": ARCH, "epochs": 1}, "until": "squeeze"}


def test_a_function_says_what_it_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wmdd.distill("digits", out=tmp_path / "run", store=tmp_path / "store", **SETTINGS)
    said = capsys.readouterr()
    assert said.out == ""
    assert "squeeze ..." in said.err
    assert f"teacher {ARCH}" in said.err


def test_quiet_is_quiet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wmdd.distill("digits", out=tmp_path / "run", store=tmp_path / "store", quiet=True, **SETTINGS)
    wmdd.distill("digits", out=tmp_path / "run", store=tmp_path / "store", watcher=Watcher(), **SETTINGS)
    assert capsys.readouterr() == ("", "")


def test_a_command_says_it_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["distill", "digits", "--out", str(tmp_path / "run"), "--store", str(tmp_path / "store"), *WORDS]) == 0
    err = capsys.readouterr().err
    assert err.count("squeeze ...\n") == 1
    assert err.count(f"teacher {ARCH}") == 1


def test_a_bar_is_removed_whatever_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[bool] = []
    monkeypatch.setattr(Screen, "close", lambda _: closed.append(True))
    with pytest.raises(WmddError), following(None, quiet=False):
        raise WmddError("wrong")
    assert closed == [True]


@pytest.mark.parametrize("widgets", [False, True])
def test_a_notebook_gets_bars_if_it_can_draw_them_else_lines(widgets: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    display = ModuleType("IPython.display")
    vars(display)["display"] = lambda what, **_: shown.append(getattr(what, "text", ""))
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    monkeypatch.setattr(screen_module, "find_spec", lambda _: object() if widgets else None)
    monkeypatch.setattr(screen_module, "Console", lambda **facts: Console(force_jupyter=True, **facts))
    bars: list[str] = []
    monkeypatch.setattr(screen_module.Progress, "start", lambda _: bars.append("on"))
    monkeypatch.setattr(screen_module.Progress, "stop", lambda _: bars.append("off"))
    screen = Screen()
    screen.begin("recover")
    screen.end("recover", 1.0, reused=False)
    assert bars == (["on", "off"] if widgets else [])
    text = "".join(shown)
    assert ("recover ..." in text) is not widgets
    assert "1.0 s" in text
