"""A bench as lines of tables, accuracies beside costs, and the sentences around them."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from wmdd.evaluation.comparison import Worth, is_reference
from wmdd.evaluation.differences import difference
from wmdd.evaluation.real_names import is_pool
from wmdd.evaluation.rows import BASELINE, Row, counted
from wmdd.evaluation.tested import kind_tested
from wmdd.methods.catalogue import title_of
from wmdd.report.bench import Bench, BenchWarning, Cost, Panel
from wmdd.report.shares import READING as SHARE_READING
from wmdd.report.shares import share_text
from wmdd.report.tables import (
    READING,
    apart,
    duration,
    human_bytes,
    on_images,
    passes,
    passes_text,
    sampling,
)
from wmdd.report.templates import ABSENT
from wmdd.report.worth import READING as RATE_READING
from wmdd.report.worth import rate_text

COLUMNS = ("time", "memory", "images", "labels")
"""Names of the cost columns."""


class Line(NamedTuple):
    """One line of a table."""

    title: str
    accuracies: list[Row | None]
    """One for each number of images per class."""
    costs: tuple[str, ...]
    """In the order of `COLUMNS`."""
    reference: bool
    """Whether it is a line of random images, or of all real ones."""


def table_lines(panel: Panel, bench: Bench) -> Iterator[Line]:
    """Yield a panel's rows."""
    for row in panel.rows:
        costs = cost_texts(bench.costs.get((row.name, max(bench.ipcs))))
        yield Line(row.title, [row.accuracies.get(ipc) for ipc in bench.ipcs], costs, reference=is_reference(row.name))


class WorthLine(NamedTuple):
    """One line of the table of what sets are worth."""

    title: str
    texts: tuple[str, ...]
    """In the order of `worth_columns`."""


def worth_columns(panel: Panel, bench: Bench) -> tuple[str, ...]:
    """Return the columns of what sets are worth, for each number of images per class; none where nothing is known."""
    return tuple(f"{kind.title}, IPC {ipc}" for kind, ipc in _worths_known(panel, bench))


def worth_lines(panel: Panel, bench: Bench) -> list[WorthLine]:
    """Return what each set of a panel is worth; references are what it is measured by."""
    columns = _worths_known(panel, bench)
    return [
        WorthLine(row.title, tuple(kind.text(panel.blocks[ipc].worths.get(row.name)) for kind, ipc in columns))
        for row in panel.rows
        if not is_reference(row.name)
    ]


class _Kind(NamedTuple):
    """A figure of what a set is worth."""

    title: str
    text: Callable[[Worth | None], str]
    known: Callable[[Worth], bool]
    reading: str
    """How to read it."""


_KINDS = (
    _Kind("gap", share_text, lambda worth: worth.share is not None, SHARE_READING),
    _Kind("worth", rate_text, lambda worth: worth.rate is not None, RATE_READING),
)


def _worths_known(panel: Panel, bench: Bench) -> list[tuple[_Kind, int]]:
    """Return the figures of what sets are worth that some row has, with their numbers of images per class."""
    return [
        (kind, ipc)
        for kind in _KINDS
        for ipc in bench.ipcs
        if ipc in panel.blocks and any(map(kind.known, panel.blocks[ipc].worths.values()))
    ]


def beside(panel: Panel, bench: Bench) -> str:
    """Return what is said below a panel: its compute, and the student's accuracy after training as the teacher."""
    return " ".join(filter(None, (_compute(panel, bench), _full_data(panel, bench))))


def _compute(panel: Panel, bench: Bench) -> str:
    """Return a sentence on the passes over the real images that students take; empty where nothing was trained."""
    known = {
        ipc: passes(row.accuracies[ipc], bench.results)
        for ipc in bench.ipcs
        for row in panel.rows[:1]
        if ipc in row.accuracies
    }
    said = [f"{passes_text(value)} at IPC {ipc}" for ipc, value in known.items() if value is not None]
    return f"Passes over the real training images that a student takes: {', '.join(said)}." if said else ""


def _full_data(panel: Panel, bench: Bench) -> str:
    """Return a sentence on the student's accuracy on all real images; empty if that was not requested."""
    accuracy = bench.full_data.get(panel.student)
    return f"On all real images, trained as the teacher, {panel.student} reaches {accuracy} %." if accuracy else ""


def notes(bench: Bench) -> str:
    """Return how to read the numbers."""
    results = bench.results
    on_gpu = str(results["run"]["device"]).startswith("cuda")
    memory = "tensors on the GPU" if on_gpu else "the whole process, libraries included"
    kind = kind_tested(results["data"])
    shown = {kind for panel in bench.panels for kind, _ in _worths_known(panel, bench)}
    worths = "".join(f"{kind.reading} " for kind in _KINDS if kind in shown)
    unused = " The test images were not used." if kind != "test" else ""
    return (
        f"Top-1 in per cent after the last epoch. {READING}{sampling(results)}{unused} "
        "Bold: highest of its column, or not distinguishable from it (the 95 % interval of the paired difference "
        f"contains 0). {worths}"
        f"Time and peak memory ({memory}) are those of making the images, without the teacher that all share; "
        f"images and labels are sizes on disk; all at IPC {max(bench.ipcs)}."
    )


def warnings(bench: Bench) -> list[str]:
    """Return each warning followed by the rows that it is about, unless these are all."""
    return [f"{each.text}{_about(each)}" for each in bench.warnings]


def _about(warning: BenchWarning) -> str:
    rows = ", ".join(f"{title_of(row)}: {counted(count, 'set')}" for row, count in warning.rows.items())
    figures = "" if warning.alike else "figures of the first"
    said = "; ".join(filter(None, (rows, figures)))
    return f" ({said})" if said else ""


def finding(bench: Bench) -> str:
    """Say in plain words which row leads the first table at the largest number of images per class."""
    made = [row for panel in bench.panels[:1] for row in panel.rows if not is_pool(row.name)]
    last = max((ipc for row in made for ipc in row.accuracies), default=0)
    if not last:
        return "No student has been evaluated yet."
    panel = bench.panels[0]
    at = {row.name: row for row in made if last in row.accuracies}
    leader = max(at.values(), key=lambda row: row.accuracies[last].mean)
    first = leader.accuracies[last]
    images = f"{last} image{'' if last == 1 else 's'} a class"
    lead = f"With {images}, the highest mean is that of {leader.title}: {first.words}, {panel.title}"
    lead += on_images(first, kind_tested(bench.results["data"]))
    if leader.name == BASELINE or BASELINE not in at:
        return f"{lead}."
    random = at[BASELINE].accuracies[last]
    beside = apart(difference(first.sets, random.sets))
    return f"{lead}; random real images with the same labels reach {random.words}: {beside}."


def cost_texts(cost: Cost | None) -> tuple[str, ...]:
    """Return a cost in the order of `COLUMNS`."""
    if cost is None:
        return (ABSENT,) * len(COLUMNS)
    memory = ABSENT if cost.memory is None else human_bytes(cost.memory)
    return duration(cost.seconds), memory, human_bytes(cost.images), human_bytes(cost.labels)
