"""What the commands print."""

import signal
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from rich.console import Console
from rich.table import Table

from wmdd.cli.stopping import Stop, answering, stop
from wmdd.pipeline.screen import Screen


class ListeningScreen(Screen):
    """A screen that Ctrl-C and SIGTERM reach: they ask the run to stop."""

    def __init__(self) -> None:
        super().__init__()
        self._stop = 0

    def stop_asked(self) -> bool:
        """Return whether Ctrl-C was pressed, or SIGTERM came."""
        return self._stop > 0

    @contextmanager
    def listening(self) -> Generator["ListeningScreen"]:
        """Stop at the first Ctrl-C (or SIGTERM) once the state is saved, at the second at once."""
        try:
            with answering(self._on_signal):
                yield self
        except KeyboardInterrupt:
            raise Stop(self._stop or signal.SIGINT, saved=True) from None
        finally:
            self.close()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._stop:
            stop(number, frame)
        self._stop = number
        again = "press Ctrl-C again" if number == signal.SIGINT else "send the signal again"
        self.note(f"stopping as soon as the state is saved; {again} to stop at once")


def say(text: str) -> int:
    """Print a line of the answer; return the exit code of success."""
    sys.stdout.write(f"{text}\n")
    return 0


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> int:
    """Print a table of the answer; return the exit code of success."""
    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    Console(highlight=False, markup=False).print(table)
    return 0


def show_scores(metrics: Mapping[str, Any]) -> None:
    """Print the accuracy table and the verdict of a run, given its metrics."""
    from wmdd.report import (  # noqa: PLC0415 - imports matplotlib
        READING,
        SHARE_READING,
        evaluated,
        passes,
        passes_text,
        sampling,
        share_text,
        verdict,
    )

    rows = [
        (
            *(row.set, row.ipc, row.student, row.protocol, row.labels, row.text),
            *(share_text(block.worths.get(row.set)), passes_text(passes(row, metrics))),
        )
        for block in evaluated(metrics)
        for row in block.rows
    ]
    columns = ("set", "ipc", "student", "protocol", "labels", "top-1 %", "gap", "passes")
    show_table("Top-1 accuracy, last epoch", columns, rows)
    say(f"{READING}{sampling(metrics)} {SHARE_READING}")
    say(verdict(metrics))


def show_names(title: str, names: dict[str, str]) -> int:
    """Print names and what they mean; return the exit code of success."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, meaning in names.items():
        table.add_row(name, meaning)
    Console(highlight=False, markup=False).print(table)
    return 0
