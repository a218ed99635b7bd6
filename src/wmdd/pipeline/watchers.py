"""Who hears how a run goes, and may ask it to stop."""


class Watcher:
    """Somebody who wants to know how a run goes, such as the command line; this base class ignores everything."""

    def note(self, text: str) -> None:
        """Hear a sentence."""

    def begin(self, stage: str) -> None:
        """Hear that a stage begins."""

    def progress(self, stage: str, done: int, total: int) -> None:
        """Hear how far it is."""

    def end(self, stage: str, seconds: float, reused: bool) -> None:
        """Hear that it is finished, or was found finished."""

    def stop_asked(self) -> bool:
        """Tell whether the run should stop at the next good moment."""
        return False


class OnlyNew(Watcher):
    """Passes on to another watcher all but that something was found finished."""

    def __init__(self, watcher: Watcher) -> None:
        self.note, self.begin, self.progress = watcher.note, watcher.begin, watcher.progress
        self.stop_asked, self._end = watcher.stop_asked, watcher.end

    def end(self, stage: str, seconds: float, reused: bool) -> None:
        """Pass it on if the stage was made here."""
        if not reused:
            self._end(stage, seconds, reused)
