"""What a set is worth beside real images: its share of the gap, its exchange rate, and the curve behind the latter."""

from wmdd.evaluation.comparison import Block, Worth
from wmdd.evaluation.rows import Conditions, Row
from wmdd.methods.catalogue import title_of
from wmdd.report.collect import Plot, Series, slug
from wmdd.report.tables import set_title
from wmdd.report.templates import ABSENT

READING = (
    "Worth: the random real images that one image of a set is worth at the same number of steps (exchange rate), with "
    "a 95 % interval."
)
"""How to read `rate_text`."""
CURVE_COLUMNS = ("set", "images a class", "top-1 %")
"""Of `curve_lines`."""


def setting(conditions: Conditions) -> str:
    """Return what the rows of a block share."""
    of = conditions
    return f"{of.student}, protocol {of.protocol}, {of.labels} labels, IPC {of.ipc}"


def rate_text(worth: Worth | None) -> str:
    """Return a set's exchange rate, such as `1.8 (1.2 to 2.6)`; a dash where it is not known."""
    return ABSENT if worth is None or worth.rate is None else worth.rate.text


def rate_sentence(block: Block, name: str) -> str:
    """Say how many random real images one image of a set is worth, and under which rules."""
    of = block.conditions
    return (
        f"One image of {title_of(name)} is worth {rate_text(block.worths.get(name))} random real ones under protocol "
        f"{of.protocol}, {of.labels} labels, student {of.student}."
    )


def rate_sentences(block: Block) -> list[str]:
    """Return a sentence for each set of a block that has a rate."""
    return [rate_sentence(block, name) for name, worth in block.worths.items() if worth.rate is not None]


def curve_lines(block: Block, name: str) -> list[tuple[str, str, str]]:
    """Return the lines of a table: random images in growing numbers, a set, and all real images if they are known."""
    random = [(row, f"{multiple * row.ipc:g}") for multiple, row in block.curve.items()]
    own = [(row, str(row.ipc)) for row in block.rows if row.set == name]
    every = [] if block.ceiling is None else [(block.ceiling, "all")]
    return [(set_title(row.set), count, row.text) for row, count in (*random, *own, *every)]


def curve_plot(block: Block) -> Plot | None:
    """Return the accuracy of random images against their number, with each set as a level; None without a rate."""
    names = [name for name, worth in block.worths.items() if worth.rate is not None]
    if not names:
        return None
    curve = block.curve
    counts = tuple(multiple * block.conditions.ipc for multiple in curve)
    levels = [_series(set_title(row.set), counts, [row] * len(counts)) for row in block.rows if row.set in names]
    random = _series(title_of("random"), counts, list(curve.values()), baseline=True)
    ceiling = block.ceiling
    return Plot(
        key=slug(f"worth-{setting(block.conditions)}"),
        title="Random real images in growing numbers",
        note=f"{setting(block.conditions)}, the same number of steps. Each set is a level line; bands are spreads.",
        x_label="random real images a class",
        y_label="top-1, %",
        series=(*levels, random),
        log_x=True,
        level=None if ceiling is None else (set_title(ceiling.set), ceiling.mean),
    )


def _series(name: str, counts: tuple[float, ...], rows: list[Row], *, baseline: bool = False) -> Series:
    return Series(
        name=name,
        x=counts,
        y=tuple(row.mean for row in rows),
        low=tuple(row.mean - (row.spread or 0.0) for row in rows),
        high=tuple(row.mean + (row.spread or 0.0) for row in rows),
        baseline=baseline,
    )
