"""The table of a search in Markdown: one line a variant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from benchmarks.markdown import table
from benchmarks.search.state import KINDS, Panel, RungState, Score, panels, tables
from benchmarks.search.variants import WMDD

from wmdd.errors import ConfigError
from wmdd.evaluation.differences import Difference, difference, signed
from wmdd.evaluation.gap import gap_share
from wmdd.evaluation.prediction import correlate
from wmdd.evaluation.real_names import CEILING_SET
from wmdd.evaluation.rows import BASELINE, sets_of, summarise
from wmdd.report.bench import Bench, summary

ENOUGH_SETS = 3
"""Sets of images, on both sides, without which a difference does not count."""
ERRORS = 2.0
"""Standard errors that a difference must exceed."""
UNKNOWN = "–"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A row of the table: figures of the last rung in which it was measured."""

    name: str
    state: RungState
    scores: Mapping[Panel, Mapping[str, list[Score]]]
    """Of all rows of the rung."""
    bench: Bench
    """The rung's."""

    def gain(self, panel: Panel) -> Difference | None:
        """Return how far the row is above WMDD; None if one of the two is not measured."""
        rows = self.scores.get(panel, {})
        return difference(sets_of(rows[self.name]), sets_of(rows[WMDD])) if self.name in rows else None

    @property
    def mean_gain(self) -> float:
        """Mean over the panels; without one, below all."""
        gains = [gain.value for panel in self.scores if (gain := self.gain(panel)) is not None]
        return fmean(gains) if gains else -100.0

    def figure(self, panel: Panel) -> str:
        """Return `+1.2 ± 0.4 (0.31)`: gain, standard error and share of the gap; for WMDD itself its accuracy."""
        rows, gain = self.scores.get(panel, {}), self.gain(panel)
        if gain is None:
            return UNKNOWN
        text = signed(gain.value) + ("" if gain.error is None else f" ± {gain.error:.1f}")
        if self.name == WMDD:
            text = summarise(rows[WMDD])[0].figure
        if BASELINE not in rows or CEILING_SET not in rows or self.name == BASELINE:
            return text
        share = gap_share(rows[self.name], rows[BASELINE], rows[CEILING_SET]).value
        return text if share is None else f"{text} ({share:.2f})".replace("-", "−")

    def counts(self) -> str:
        """Say in which panels the row differs from WMDD beyond doubt, with the sign; `–` in none."""
        gains = {panel: gain for panel in self.scores if (gain := self.gain(panel)) is not None}
        if self.name == WMDD or all(gain.sets < ENOUGH_SETS for gain in gains.values()):
            return "" if self.name == WMDD else f"fewer than {ENOUGH_SETS} sets"
        found = [f"{title(panel)} {signed(gain.value)[0]}" for panel, gain in gains.items() if counts(gain)]
        return "; ".join(found) or UNKNOWN

    def seconds(self) -> str:
        """Return the mean seconds to make a set, at the largest number of images per class."""
        own = {ipc: cost.seconds for (row, ipc), cost in self.bench.costs.items() if row == self.name}
        return f"{own[max(own)]:.0f}" if own else UNKNOWN


def counts(gain: Difference) -> bool:
    """Return whether a difference counts: more than two standard errors, over at least three sets."""
    return gain.sets >= ENOUGH_SETS and gain.error is not None and abs(gain.value) > ERRORS * gain.error


def title(panel: Panel) -> str:
    """Return `IPC 10, wmdd, soft`."""
    return f"IPC {panel.ipc}, {panel.protocol}, {panel.labels}"


def draw(states: Sequence[RungState]) -> str:
    """Return the table, what it was made from, and how well each rung predicted the next.

    Raises:
        ConfigError: nothing has been measured yet.
    """
    benches = [summary(state.bench) for state in states]
    lines = _lines(states, benches)
    if not lines:
        raise ConfigError("a table needs results; got none; run `python -m benchmarks.search run DATA` first")
    columns = sorted({panel for line in lines for panel in line.scores}, key=lambda panel: (-panel.ipc, *panel[1:]))
    head = ["variant", "idea", "predicted, soft / hard", "rung", "sets × students", *map(title, columns)]
    rows = [_cells(line, columns) for line in lines]
    failed = [failure for bench in benches for failure in bench.failures]
    notes = [
        _made_from(states),
        *(f"`{name}` has the settings of `{other}`." for name, other in states[0].twins.items()),
        *(f"Failed: {name}: {reason}" for name, reason in failed),
        *map(_correlation, pairwise(states)),
    ]
    head += ["differs from WMDD", "seconds a set"]
    return "\n\n".join([table(head, rows, left=len(head)).rstrip(), *notes]) + "\n"


def _lines(states: Sequence[RungState], benches: Sequence[Bench]) -> list[Line]:
    """Return a line for each row in the last rung in which it was measured, last rungs and high gains first."""
    found: dict[str, Line] = {}
    for state, bench in zip(states, benches, strict=True):
        scores = panels(state.bench)
        measured = {row for rows in scores.values() for row in rows if row != CEILING_SET}
        found |= {row: Line(name=row, state=state, scores=scores, bench=bench) for row in measured}
    return sorted(found.values(), key=lambda line: (-line.state.rung, -line.mean_gain, line.name))


def _cells(line: Line, columns: Sequence[Panel]) -> list[str]:
    variant = line.state.variants.get(line.name)
    return [
        line.name,
        variant.idea if variant else {WMDD: "the base recipe: accuracy"}.get(line.name, "real images"),
        f"{signed(variant.predicted.soft)} / {signed(variant.predicted.hard)}" if variant else "",
        str(line.state.rung),
        next(summarise(rows[line.name])[0].counts for rows in line.scores.values() if line.name in rows),
        *map(line.figure, columns),
        line.counts(),
        line.seconds(),
    ]


def _made_from(states: Sequence[RungState]) -> str:
    first = states[0].bench
    commits = [
        f"rung {state.rung} at {state.bench['run']['commit'] or 'an unknown commit'}"
        + (f", {state.waiting} sets still to be made" if state.waiting else "")
        for state in states
    ]
    return (
        f"Gains over WMDD in points of top-1 ± standard error, in brackets the share of the gap between random and all "
        f"real images. Judged on {first['data']['val']:,} development images of {first['data']['name']}, recipe "
        f"`{states[0].recipe}`, teacher {first['teacher']['top1']:.1f} %; {'; '.join(commits)}."
    )


def _correlation(pair: tuple[RungState, RungState]) -> str:
    """Say how a rung's order of variants agrees with the next one's, over those that both have."""
    said: list[str] = []
    for kind in KINDS:
        low, high = (tables(state)[kind] for state in pair)
        both = [name for name in low if name in high]
        found = correlate([fmean(low[name]) for name in both], [fmean(high[name]) for name in both])
        if found.rho is None or found.interval is None:
            said.append(f"{kind} labels {UNKNOWN} ({len(both)} variants)")
        else:
            ends = " to ".join(f"{end:.2f}" for end in found.interval)
            said.append(f"{kind} labels {found.rho:.2f} ({ends}; {len(both)} variants)".replace("-", "−"))
    first, second = (state.rung for state in pair)
    return f"Spearman's ρ of rungs {first} and {second}, with a 95 % interval: {', '.join(said)}."
