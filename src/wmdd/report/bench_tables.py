"""A bench as lines of tables, costs beside the accuracies, and the sentences that go with them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from wmdd.evaluation.comparison import BASELINE, Row
from wmdd.methods.catalogue import title_of
from wmdd.report.bench import Bench, Cost, Panel
from wmdd.report.tables import duration, human_bytes
from wmdd.report.templates import ABSENT

COLUMNS = ("time", "memory", "images", "labels")
"""Names of the cost columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a table."""

    title: str
    accuracies: tuple[Row | None, ...]
    """One for each number of images per class."""
    costs: tuple[str, ...]
    """In the order of `COLUMNS`."""
    random: bool
    """Whether it is a line of random images."""


def table_lines(panel: Panel, bench: Bench) -> Iterator[Line]:
    """Yield a panel's lines: its rows, and below a row with labels of its own the random images that have the same."""
    last = max(bench.ipcs)
    for row in panel.rows:
        costs = cost_texts(bench.costs.get((row.name, last)))
        yield Line(
            title=row.title, accuracies=_in_order(row.accuracies, bench), costs=costs, random=row.name == BASELINE
        )
        if row.random:
            title = f"{title_of(BASELINE)}, labels of {row.title}"
            yield Line(title=title, accuracies=_in_order(row.random, bench), costs=cost_texts(None), random=True)


def _in_order(accuracies: Mapping[int, Row], bench: Bench) -> tuple[Row | None, ...]:
    return tuple(accuracies.get(ipc) for ipc in bench.ipcs)


def full_data(panel: Panel, bench: Bench) -> str:
    """Say what the panel's student reaches on all real images; nothing if that was not asked for."""
    known = bench.full_data.get(panel.student)
    return f"On all real images, trained as the teacher, {panel.student} reaches {known} %." if known else ""


def notes(bench: Bench) -> str:
    """Say how the numbers are to be read."""
    results = bench.results
    several = results["distill_seeds"] > 1
    spread = f" ± standard deviation over the {results['seeds']} students of one set" if results["seeds"] > 1 else ""
    between = ", in brackets that between the means of sets from different seeds" if several else ""
    return (
        f"Top-1 in per cent after the last epoch, mean{spread}{between}. Bold is the highest mean of a column. Time "
        f"and peak memory ({_memory_of(bench)}) are those of making the images, without the teacher that all share; "
        f"images and labels are sizes on disk; all at IPC {max(bench.ipcs)}."
    )


def finding(bench: Bench) -> str:
    """Say in plain words who is ahead in the first table at the largest number of images per class."""
    last = max((ipc for panel in bench.panels[:1] for row in panel.rows for ipc in row.accuracies), default=0)
    if not last:
        return "No student has been evaluated yet."
    panel = bench.panels[0]
    at = {row.name: row for row in panel.rows if last in row.accuracies}
    leader = max(at.values(), key=lambda row: row.accuracies[last].mean)
    first = leader.accuracies[last]
    images = f"{last} image{'' if last == 1 else 's'} a class"
    told = f"With {images}, the highest mean is that of {leader.title}: {first.text} % ({panel.title})"
    if leader.name == BASELINE or BASELINE not in at:
        return f"{told}."
    random = leader.random.get(last, at[BASELINE].accuracies[last])
    gap, spread = first.mean - random.mean, (first.std or 0.0) + (random.std or 0.0)
    side = "more than" if gap > spread else "within"
    return (
        f"{told}; random real images with the same labels reach {random.text} %. The gap is {gap:.1f} points, {side} "
        "both spreads together."
    )


def cost_texts(cost: Cost | None) -> tuple[str, ...]:
    """Return a cost in the order of `COLUMNS`."""
    if cost is None:
        return (ABSENT,) * len(COLUMNS)
    memory = ABSENT if cost.memory is None else human_bytes(cost.memory)
    return duration(cost.seconds), memory, human_bytes(cost.images), human_bytes(cost.labels)


def _memory_of(bench: Bench) -> str:
    """Say what the memory figures count."""
    on_gpu = str(bench.results["run"]["device"]).startswith("cuda")
    return "tensors on the GPU" if on_gpu else "the whole process, libraries included"
