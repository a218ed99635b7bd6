"""Watchers follow the progress of a run, and may stop it."""


class Watcher:
    """Follows the progress of a run, as the command line does; this base class ignores everything."""

    def note(self, text: str) -> None:
        """Receive a sentence."""

    def warn(self, text: str) -> None:
        """Receive a warning, once a run."""

    def begin(self, stage: str) -> None:
        """Receive the title of a stage that begins: its name, and of which set or network if it runs several times."""

    def progress(self, stage: str, done: int, total: int) -> None:
        """Receive the progress of a stage."""

    def end(self, stage: str, seconds: float, reused: bool) -> None:
        """Receive that a stage is finished, or that its stored result is reused."""

    def stop_asked(self) -> bool:
        """Return whether the run should stop once its state is saved."""
        return False


class OnlyNew(Watcher):
    """Forwards to another watcher what is new: nothing said twice, no end of a stage whose stored result is reused."""

    def __init__(self, watcher: Watcher) -> None:
        self.begin, self.progress, self.stop_asked = watcher.begin, watcher.progress, watcher.stop_asked
        self._note, self._warn, self._end = watcher.note, watcher.warn, watcher.end
        self._said: set[str] = set()

    def note(self, text: str) -> None:
        """Forward a sentence, once."""
        if text not in self._said:
            self._said.add(text)
            self._note(text)

    def warn(self, text: str) -> None:
        """Forward a warning that no run has given yet."""
        if text not in self._said:
            self._said.add(text)
            self._warn(text)

    def end(self, stage: str, seconds: float, reused: bool) -> None:
        """Forward the end of a stage that ran."""
        if not reused:
            self._end(stage, seconds, reused)
