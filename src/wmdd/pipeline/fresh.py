"""What a command is to make anew, although it is there: `--fresh STAGE`."""

from dataclasses import dataclass, field

from wmdd.artifacts.folder import ResultFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class Fresh:
    """The results of a stage that a command makes anew, each once, in however many runs it is asked for."""

    stage: str | None = None
    """None = none."""
    made: set[str] = field(default_factory=set)
    """Names of the folders of those that are made."""

    def wants(self, stage: str, folder: ResultFolder) -> bool:
        """Return whether a result is still to be made anew."""
        return stage == self.stage and folder.path.name not in self.made

    def note(self, folder: ResultFolder) -> None:
        """Remember a result as made by this command."""
        self.made.add(folder.path.name)
