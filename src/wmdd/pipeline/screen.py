"""The progress of a run on a screen: bars on a terminal and in a notebook, lines elsewhere.

The functions show it unless they are told to be quiet; the commands add signals (`wmdd.cli.render`).
"""

import time
from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from wmdd.pipeline.watchers import Watcher
from wmdd.pipeline.workers import this_worker

LINE_EVERY = 30.0
_WIDTH = 17
"""Of a stage's title, such as `evaluate k-center`."""


class Screen(Watcher):
    """Shows the progress of a run on stderr, or below the cell of a notebook.

    Of several workers only the first one's shows anything.
    """

    def __init__(self) -> None:
        self._console = Console(stderr=True, soft_wrap=True, highlight=False, quiet=not this_worker().first)
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        # In a notebook rich draws bars as a widget, for which it needs another package.
        in_notebook = self._console.is_jupyter and find_spec("ipywidgets") is not None
        self._bars = self._console.is_terminal or in_notebook
        self._began = self._said = time.monotonic()

    def note(self, text: str) -> None:
        """Print a sentence."""
        self._console.print(text, markup=False)

    def warn(self, text: str) -> None:
        """Print a warning."""
        self._console.print(f"warning: {text}", markup=False, style="yellow")

    def begin(self, stage: str) -> None:
        """Print that a stage begins."""
        self._began = self._said = time.monotonic()
        if self._bars:
            self._progress = Progress(
                TextColumn(f"{{task.description:<{_WIDTH}}}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f} %"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                console=self._console,
                transient=True,
            )
            self._task = self._progress.add_task(stage, total=None)
            self._progress.start()
        else:
            self.note(f"{stage} ...")

    def progress(self, stage: str, done: int, total: int) -> None:
        """Move the bar, or print a line now and then."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done, total=total)
        elif time.monotonic() - self._said > LINE_EVERY:
            self._said = time.monotonic()
            left = (self._said - self._began) * (total - done) / max(done, 1)
            self.note(f"{stage} {100 * done / total:.0f} %, about {left:.0f} s left")

    def end(self, stage: str, seconds: float, reused: bool) -> None:
        """Print that a stage is finished."""
        self.close()
        self.note(f"{stage:<{_WIDTH}} {'found finished' if reused else f'{seconds:.1f} s'}")

    def close(self) -> None:
        """Remove the progress bar."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = self._task = None


@contextmanager
def following(watcher: Watcher | None, *, quiet: bool) -> Generator[Watcher]:
    """Yield who follows a run: the given watcher, else a screen, or nobody if it is to be quiet.

    A screen's bar is removed when the run ends, however it ends.
    """
    if watcher is not None or quiet:
        yield watcher or Watcher()
        return
    screen = Screen()
    try:
        yield screen
    finally:
        screen.close()
