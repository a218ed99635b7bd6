"""A signal ends any command with one line and 128 + its number, from the first import on."""

import os
import signal
import subprocess
import sys

import pytest

STRUCK = """
import os, signal, sys

number, module, *words = sys.argv[1:]

class Struck:
    def find_spec(self, name, path=None, target=None):
        if name == module:
            os.kill(os.getpid(), int(number))
            signal.pthread_sigmask(signal.SIG_BLOCK, [])  # the signal is handled here at the latest

sys.meta_path.insert(0, Struck())
from wmdd.cli.main import main
sys.exit(main(words))
"""
"""A command that is signalled in the middle of the import of a module."""
WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


def run(script: str, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", script, *words],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("number", WORDS)
@pytest.mark.parametrize("module", ["wmdd.cli.arguments", "torch"])
def test_a_signal_during_imports_is_one_line(module: str, number: signal.Signals) -> None:
    done = run(STRUCK, str(int(number)), module, "distill", "digits")
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "", f"wmdd: {WORDS[number]}\n")


@pytest.mark.parametrize("number", WORDS)
def test_a_signal_to_a_command_without_a_run_is_one_line(number: signal.Signals) -> None:
    script = (
        "import os, sys; from wmdd.cli import commands; from wmdd.cli.main import main\n"
        f"commands.COMMANDS['version'] = lambda words: lambda: os.kill(os.getpid(), {int(number)})\n"
        "sys.exit(main(['version']))"
    )
    done = run(script)
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "", f"wmdd: {WORDS[number]}\n")


def test_a_second_signal_while_the_first_is_answered_does_not_show_a_traceback() -> None:
    script = (
        "import os, signal, sys; from wmdd.cli import commands; from wmdd.cli.main import main\n"
        "def act():\n"
        "    try: os.kill(os.getpid(), signal.SIGINT)\n"
        "    finally: os.kill(os.getpid(), signal.SIGINT)\n"
        "commands.COMMANDS['version'] = lambda words: act\n"
        "sys.exit(main(['version']))"
    )
    done = run(script)
    assert (done.returncode, done.stderr) == (130, "wmdd: interrupted\n")
