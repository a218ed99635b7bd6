"""Who hears how a run goes, and may ask it to stop."""

from dataclasses import dataclass
from typing import Protocol


class Watcher(Protocol):
    """Somebody who wants to know how a run goes; the command line is one."""

    def note(self, text: str) -> None:
        """Hear a sentence."""
        ...

    def begin(self, stage: str) -> None:
        """Hear that a stage begins."""
        ...

    def progress(self, stage: str, done: int, total: int) -> None:
        """Hear how far it is."""
        ...

    def end(self, stage: str, seconds: float, reused: bool) -> None:
        """Hear that it is finished, or was found finished."""
        ...

    def stop_asked(self) -> bool:
        """Tell whether the run should stop at the next good moment."""
        ...


class Silence:
    """A watcher who hears nothing and never interrupts."""

    def note(self, text: str) -> None:
        """Ignore it."""

    def begin(self, stage: str) -> None:
        """Ignore it."""

    def progress(self, stage: str, done: int, total: int) -> None:
        """Ignore it."""

    def end(self, stage: str, seconds: float, reused: bool) -> None:
        """Ignore it."""

    def stop_asked(self) -> bool:
        """Never ask."""
        return False


@dataclass(frozen=True, slots=True)
class Brief:
    """Passes on to a watcher all but that something was found finished."""

    watcher: Watcher

    def note(self, text: str) -> None:
        """Pass it on."""
        self.watcher.note(text)

    def begin(self, stage: str) -> None:
        """Pass it on."""
        self.watcher.begin(stage)

    def progress(self, stage: str, done: int, total: int) -> None:
        """Pass it on."""
        self.watcher.progress(stage, done, total)

    def end(self, stage: str, seconds: float, reused: bool) -> None:
        """Pass it on if the stage was made here."""
        if not reused:
            self.watcher.end(stage, seconds, reused)

    def stop_asked(self) -> bool:
        """Pass it on."""
        return self.watcher.stop_asked()
