"""The table of commands: each checks its words at once and returns what to do."""

from collections.abc import Callable, Sequence

from wmdd.cli.arguments import Action
from wmdd.cli.bench import bench
from wmdd.cli.distill import distill
from wmdd.cli.evaluate import evaluate
from wmdd.cli.inspect import doctor, export, predict, report, show_list, status, version
from wmdd.cli.worth import worth

COMMANDS: dict[str, Callable[[Sequence[str]], Action]] = {
    "distill": distill,
    "evaluate": evaluate,
    "worth": worth,
    "bench": bench,
    "predict": predict,
    "report": report,
    "status": status,
    "export": export,
    "list": show_list,
    "doctor": doctor,
    "version": version,
    "--version": version,
}
WITH_HELP = {"distill", "evaluate", "worth", "bench"}
"""Commands with a help of their own; that of the others is their line of the usage."""
