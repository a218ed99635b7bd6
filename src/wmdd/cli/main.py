"""`wmdd`: a few verbs, each a function in a table. Torch is imported only by commands that compute."""

import os
import signal
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from io import TextIOWrapper

from wmdd.cli.stopping import Stop, answering, stop
from wmdd.errors import ConfigError, WmddError, did_you_mean
from wmdd.pipeline.workers import Worker, this_worker

FIRST_SPEAKS = 10.0
"""Seconds that other workers wait with an error line."""

USAGE = """\
wmdd shrinks an image-classification data set to a few synthetic images per class.

  wmdd distill DATA [--ipc 10] [--method wmdd] [--recipe NAME|FILE] [--out runs/NAME] [--seed 0]
                    [--device auto] [--precision auto] [--until STAGE] [--fresh STAGE] [--store DIR]
                    [--SECTION.SETTING VALUE ...]
  wmdd evaluate RUN --data DATA [--students NAME ...] [--protocols NAME ...] [--seeds N] [--labels soft|hard|both]
                    [--epochs N] [--device auto] [--precision auto] [--fresh STAGE] [--SECTION.SETTING VALUE ...]
  wmdd worth    RUN --data DATA [--multiples 2 3 5 10] [--draws 3] [--students NAME ...] [--protocols NAME ...]
                    [--seeds N] [--labels soft|hard|both] [--epochs N] [--fresh STAGE] [--SECTION.SETTING VALUE ...]
  wmdd bench    DATA [--methods all|NAME ...] [--ipcs 1 10 ...] [--students NAME ...] [--protocols NAME ...]
                    [--seeds N] [--distill-seeds N] [--losses] [--worth] [--recipe NAME|FILE] [--out DIR]
                    [--store DIR] [--fresh STAGE] [--SECTION.SETTING VALUE ...]
  wmdd predict  BENCH                     which losses of its sets predict what students reach (needs `bench --losses`)
  wmdd report   RUN                       write RUN/report.html again; of a bench, its tables and its page
  wmdd status   RUN                       how far a run has come
  wmdd export   RUN --format imagefolder|parquet|safetensors --to DIR [--labels topk] [--top-k N]
  wmdd list     methods|recipes|protocols|models|losses|data
  wmdd doctor                             what this machine has and what is missing
  wmdd version                            which wmdd this is

DATA is digits, a torchvision name such as cifar10, a folder of class folders, Parquet files, or hf:owner/name
(`wmdd list data`). Running the same command again resumes; --fresh STAGE makes that stage's results anew.
`wmdd COMMAND --help` shows every setting with its default.
With several GPUs or machines: `torchrun --standalone --nproc-per-node N -m wmdd COMMAND ...`.
To begin: `wmdd distill digits --ipc 1`.
Exit codes: 0 done; 2 something in the input is wrong (one line says what); 1 a bug, or a failed cell of a bench;
130 interrupted (Ctrl-C) and 143 terminated (SIGTERM), with the state saved.
"""


def parse(words: Sequence[str]) -> Callable[[], int]:
    """Check a command line without importing torch; return what runs it and gives the exit code.

    Raises:
        ConfigError: a word is wrong.
    """
    if words[:1] == ["help"] and len(words) > 1:
        words = [words[1], "--help"]
    if not words or words[0] in {"-h", "--help", "help"}:
        return _help
    from wmdd.cli.arguments import asks_help  # noqa: PLC0415 - `wmdd --help` must not wait for settings and tyro
    from wmdd.cli.commands import COMMANDS, WITH_HELP  # noqa: PLC0415

    name, rest = words[0], words[1:]
    if name.startswith("-") and name not in COMMANDS:
        raise ConfigError(f"the command comes first; got {name!r}; type `wmdd COMMAND ...`, or `wmdd --help`")
    if name not in COMMANDS:
        raise ConfigError(f"unknown command; got {name!r}{did_you_mean(name, [*COMMANDS, 'help'])}")
    if name not in WITH_HELP and asks_help(rest):
        return lambda: _help(name.removeprefix("--"))
    return COMMANDS[name](rest)


def _help(command: str = "") -> int:
    """Print the usage, or a command's line of it."""
    lines = [line.strip() for line in USAGE.splitlines() if line.startswith(f"  wmdd {command} ")]
    sys.stdout.write("\n".join([*lines, ""]) if command else USAGE)
    return 0


def main(words: Sequence[str] | None = None) -> int:
    """Run a command line; return the exit code. Of several workers only the first prints the answer."""
    # libgomp's threads spin for milliseconds at a barrier before they sleep, unless it knows that others want their
    # processors, which it cannot know of other processes; this is the count that it then takes itself.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    for stream in (sys.stdout, sys.stderr):  # a terminal may not know every letter of a class's or a file's name
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        worker = this_worker()
        with answering(stop), nullcontext() if worker.first else _without_answer():
            return parse(sys.argv[1:] if words is None else words)()
    except WmddError as error:
        return _say_error(" ".join(str(error).split()))
    except KeyboardInterrupt as error:
        stopped = error if isinstance(error, Stop) else Stop()
        if this_worker().first:
            sys.stderr.write(stopped.line)
        return stopped.code
    except BrokenPipeError:
        sys.stderr.close()
        return 0


@contextmanager
def _without_answer() -> Generator[None]:
    """Print nothing to stdout."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
        yield


def _say_error(reason: str) -> int:
    """Print what is wrong; return the exit code.

    What is wrong with one worker is mostly wrong with all, so others give the first one time to say it: the launcher
    then ends them.
    """
    try:
        worker = this_worker()
    except ConfigError:  # which is the error
        worker = Worker()
    if not worker.first:
        with answering(signal.SIG_DFL):
            time.sleep(FIRST_SPEAKS)
        reason = f"worker {worker.rank + 1} of {worker.size}: {reason}"
    sys.stderr.write(f"wmdd: error: {reason}\n")
    return 2
