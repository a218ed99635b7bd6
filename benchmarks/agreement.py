"""Does the testbed order methods as larger pictures do? Spearman's ρ over the rows that two benches share.

`python -m benchmarks.figures` draws it as a figure `agreement`.
"""

from collections.abc import Mapping, Sequence

from benchmarks.markdown import table

from wmdd.errors import ConfigError
from wmdd.evaluation.prediction import correlate
from wmdd.evaluation.rows import Row
from wmdd.report.bench import Bench
from wmdd.report.prediction import correlation_text
from wmdd.report.tables import set_title


def draw(protocol: str, left: Sequence[Bench], right: Sequence[Bench], renamed: Mapping[str, str]) -> str:
    """Return the rows that two groups of benches share under a protocol at one number of images per class.

    Args:
        protocol: its name, without what students depart in.
        left, right: benches of one data set each; of a row that several hold, the first one's counts.
        renamed: name of a row on the left → its name on the right, where they differ.

    Raises:
        ConfigError: fewer than two rows are shared.
    """
    there, here = (_rows(each, protocol) for each in (left, right))
    named = {row: renamed.get(row, row) for row in there}
    pairs = [(row, there[row], here[other]) for row, other in named.items() if other in here]
    if len(pairs) < 2:
        raise ConfigError(f"an order is that of two rows or more; got {len(pairs)} under {protocol!r} in both benches")
    pairs.sort(key=lambda pair: -pair[1].mean)
    order = sorted((row.mean for _, _, row in pairs), reverse=True)
    lines = [(set_title(name), a.text, b.text, str(order.index(b.mean) + 1)) for name, a, b in pairs]
    head = ("method", *(f"{_data(each)}, {protocol}" for each in (left, right)), "place there")
    found = correlate([a.mean for _, a, _ in pairs], [b.mean for _, _, b in pairs])
    return f"{table(head, lines)}\nSpearman's ρ of the two orders, {len(pairs)} rows: {correlation_text(found)}.\n"


def _rows(benches: Sequence[Bench], protocol: str) -> dict[str, Row]:
    found: dict[str, Row] = {}
    for bench in benches:
        for panel in bench.panels:
            if panel.protocol.partition(",")[0] == protocol:
                for row in panel.rows:
                    found.setdefault(row.name, row.accuracies[bench.ipcs[0]])
    return found


def _data(benches: Sequence[Bench]) -> str:
    data = benches[0].results["data"]
    return f"{data['name']} at {data['image_size']} px"
