"""`wmdd`: few verbs, each an ordinary function in a table. Torch is imported only by a command that computes."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wmdd.errors import ConfigError, WmddError, did_you_mean

USAGE = """\
wmdd shrinks an image-classification data set to a few synthetic images per class.

  wmdd distill DATA [--ipc 10] [--method wmdd] [--recipe NAME|FILE] [--out runs/NAME] [--seed 0]
                    [--device auto] [--precision auto] [--until STAGE] [--store DIR] [--SECTION.SETTING VALUE ...]
  wmdd evaluate RUN --data DATA [--student resnet18 ...] [--protocol NAME ...] [--seeds 3] [--labels soft|hard|both]
  wmdd bench    DATA [--methods all|NAME ...] [--ipc 1 10 ...] [--students NAME ...] [--protocols NAME ...] [--seeds 3]
                    [--distill-seeds 1] [--recipe NAME|FILE] [--out DIR] [--store DIR] [--SECTION.SETTING VALUE ...]
  wmdd report   RUN                       make RUN/report.html again; of a bench, its tables and its page
  wmdd status   RUN                       how far a run is
  wmdd export   RUN --format imagefolder|parquet|safetensors --to DIR
  wmdd list     methods|recipes|protocols|models|data
  wmdd doctor                             what this machine has, and what is missing
  wmdd version

DATA is digits, a torchvision name such as cifar10, a folder of class folders, Parquet files, or hf:owner/name
(`wmdd list data`). Running the same command again resumes. `wmdd COMMAND --help` shows every setting with its default.
Exit codes: 0 done, 2 something in the input is wrong (one line says what), 1 a bug or a failed cell of a bench,
130 interrupted, state saved.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """A command line that makes sense, ready to be carried out."""

    command: str
    action: Callable[[], int]


def parse(words: Sequence[str]) -> Parsed:
    """Turn words into something to do, without doing it and without importing torch.

    Raises:
        ConfigError: a word is wrong.
    """
    if not words or words[0] in {"-h", "--help", "help"}:
        return Parsed(command="help", action=_help)
    from wmdd.cli.commands import COMMANDS  # noqa: PLC0415 - `wmdd --help` must not wait for settings and tyro

    if words[0] not in COMMANDS:
        known = [*COMMANDS, "help"]
        raise ConfigError(f"unknown command; got {words[0]!r}{did_you_mean(words[0], known)}")
    return Parsed(command=words[0], action=COMMANDS[words[0]](words[1:]))


def _help() -> int:
    """Show the usage."""
    sys.stdout.write(USAGE)
    return 0


def main(words: Sequence[str] | None = None) -> int:
    """Carry out a command line; return the exit code."""
    try:
        return parse(sys.argv[1:] if words is None else words).action()
    except WmddError as error:
        sys.stderr.write(f"wmdd: error: {' '.join(str(error).split())}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("wmdd: interrupted; the state is saved: the same command continues\n")
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0
