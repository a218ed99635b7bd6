"""Ctrl-C and SIGTERM, from a command's first import to its last line: one line on stderr and exit code 128 + signal."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

_WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
_IMPORTS = "<frozen importlib._bootstrap>"


class Stop(KeyboardInterrupt):
    """A signal ends the command."""

    def __init__(self, number: int = signal.SIGINT, *, saved: bool = False) -> None:
        super().__init__()
        self.code = 128 + number
        saved_words = "; the state is saved: the same command continues" if saved else ""
        self.line = f"wmdd: {_WORDS[signal.Signals(number)]}{saved_words}\n"


@contextmanager
def answering(answer: "Callable[[int, FrameType | None], None] | signal.Handlers") -> Generator[None]:
    """Let `answer` handle both signals, and afterwards whoever did before; outside the main thread, change nothing."""
    if threading.current_thread() is not threading.main_thread():  # Python gives signals to the main thread alone
        yield
        return
    before = {name: signal.signal(name, answer) for name in _WORDS}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler or signal.SIG_DFL)


def stop(number: int, frame: FrameType | None) -> None:
    """Answer a signal by `Stop`; a further one, and one in the middle of an import, ends the process at once.

    Code that is being imported may catch the exception, or turn it into another; and nothing is lost by then.
    """
    for name in _WORDS:
        signal.signal(name, _leave)
    while frame is not None:
        if frame.f_code.co_filename == _IMPORTS:
            _leave(number, None)
        frame = frame.f_back
    raise Stop(number)


def _leave(number: int, frame: FrameType | None) -> None:
    del frame
    stopped = Stop(number)
    os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, stopped.line.encode())
    os._exit(stopped.code)
