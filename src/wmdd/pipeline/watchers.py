"""Watchers follow the progress of a run, and may stop it."""


class Watcher:
    """Follows the progress of a run, as the command line does; this base class ignores everything."""

    def note(self, text: str) -> None:
        """Receive a sentence."""

    def warn(self, text: str) -> None:
        """Receive a warning, once a run."""

    def begin(self, stage: str) -> None:
        """Receive the name of a stage that begins."""

    def progress(self, stage: str, done: int, total: int) -> None:
        """Receive the progress of a stage."""

    def end(self, stage: str, seconds: float, reused: bool) -> None:
        """Receive that a stage is finished, or that its stored result is reused."""

    def stop_asked(self) -> bool:
        """Return whether the run should stop once its state is saved."""
        return False


class OnlyNew(Watcher):
    """Forwards to another watcher everything but repeated notes and the end of stages that are reused."""

    def __init__(self, watcher: Watcher) -> None:
        self.warn, self.begin, self.progress = watcher.warn, watcher.begin, watcher.progress
        self.stop_asked, self._note, self._end = watcher.stop_asked, watcher.note, watcher.end
        self._noted: set[str] = set()

    def note(self, text: str) -> None:
        """Forward a sentence, once."""
        if text not in self._noted:
            self._noted.add(text)
            self._note(text)

    def end(self, stage: str, seconds: float, reused: bool) -> None:
        """Forward the end of a stage that ran."""
        if not reused:
            self._end(stage, seconds, reused)
