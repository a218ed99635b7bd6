"""Mean and spread over seeds, the comparison with random images, and the one sentence that says how a run went."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev
from typing import Any

from wmdd.report.collect import REFERENCE, name_of, number


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Accuracies in per cent of the students that differ in nothing but their seed."""

    set: str
    ipc: int
    student: str
    protocol: str
    labels: str
    n: int
    """Students."""
    mean: float
    """Of `top1`, after the last epoch."""
    std: float | None
    """Sample standard deviation (ddof = 1) of `top1`; None of a single student."""
    top5: float | None
    best: float | None
    """Mean of `top1_best`; shown beside, never used."""
    ahead: bool = False
    """Above every other set of its group by more than the sum of the two standard deviations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The sets that may be compared: one student, protocol, kind of labels and number of images a class."""

    ipc: int
    student: str
    protocol: str
    labels: str
    rows: tuple[Row, ...]
    """Random images last."""

    @property
    def reference(self) -> Row | None:
        """Random real images under the same conditions."""
        return next((row for row in self.rows if row.set == REFERENCE), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A method's row beside random images."""

    row: Row
    random: Row | None
    gap: float | None
    """Points by which the method is above random images."""
    spread: float | None
    """Sum of the two standard deviations; None while one of them is unknown."""

    @property
    def clear(self) -> bool:
        """True if the gap, to either side, is larger than the spread."""
        return self.gap is not None and self.spread is not None and abs(self.gap) > self.spread


def summary_rows(metrics: Mapping[str, Any]) -> list[Row]:
    """Return one row a set, images a class, student, protocol and labels: groups as stored, random last in each."""
    return [row for group in groups(metrics) for row in group.rows]


def groups(metrics: Mapping[str, Any]) -> list[Group]:
    """Return the comparable rows side by side."""
    found: dict[tuple[int, str, str, str], list[Row]] = {}
    for row in _rows(metrics.get("evaluations") or ()):
        found.setdefault((row.ipc, row.student, row.protocol, row.labels), []).append(row)
    return [
        Group(ipc=ipc, student=student, protocol=protocol, labels=labels, rows=_marked(rows))
        for (ipc, student, protocol, labels), rows in found.items()
    ]


def _rows(scores: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Aggregate over seeds; of a seed that was evaluated twice the last score counts."""
    cells: dict[tuple[str, int, str, str, str], dict[Any, Mapping[str, Any]]] = {}
    for score in scores:
        if number(score.get("top1")) is not None:
            texts = [str(score.get(name, "")) for name in ("set", "student", "protocol", "labels")]
            key = (texts[0], int(number(score.get("ipc")) or 0), texts[1], texts[2], texts[3])
            cells.setdefault(key, {})[score.get("seed", len(cells.get(key, {})))] = score
    return [_row(key, list(seeds.values())) for key, seeds in cells.items()]


def _row(key: tuple[str, int, str, str, str], scores: Sequence[Mapping[str, Any]]) -> Row:
    columns = {
        name: [v for v in (number(score.get(name)) for score in scores) if v is not None]
        for name in ("top1", "top5", "top1_best")
    }
    top1 = columns["top1"]
    return Row(
        set=key[0],
        ipc=key[1],
        student=key[2],
        protocol=key[3],
        labels=key[4],
        n=len(top1),
        mean=fmean(top1),
        std=stdev(top1) if len(top1) > 1 else None,
        top5=fmean(columns["top5"]) if columns["top5"] else None,
        best=fmean(columns["top1_best"]) if columns["top1_best"] else None,
    )


def _marked(rows: Sequence[Row]) -> tuple[Row, ...]:
    top = max(rows, key=lambda row: row.mean)
    others = [row for row in rows if row is not top]
    comparisons = [compare(top, row) for row in others]
    ahead = bool(others) and all(c.clear and c.gap is not None and c.gap > 0 for c in comparisons)
    marked = [replace(row, ahead=ahead) if row is top else row for row in rows]
    return tuple(sorted(marked, key=lambda row: row.set == REFERENCE))


def compare(row: Row, random: Row | None) -> Comparison:
    """Put a row beside random images, or beside any other row of its group."""
    if random is None:
        return Comparison(row=row, random=None, gap=None, spread=None)
    spread = None if row.std is None or random.std is None else row.std + random.std
    return Comparison(row=row, random=random, gap=row.mean - random.mean, spread=spread)


def comparisons(metrics: Mapping[str, Any]) -> list[Comparison]:
    """Return the run's own method beside random images, in every group where it was evaluated."""
    run = metrics.get("run") or {}
    pairs = [(row, group.reference) for group in groups(metrics) for row in group.rows if row.set != REFERENCE]
    own = [pair for pair in pairs if pair[0].set == run.get("method")] or pairs
    of = own[0][0].set if own else None
    return [compare(row, random) for row, random in own if row.set == of]


def verdict(metrics: Mapping[str, Any]) -> str:
    """Say in plain words how the run's first setting went: accuracy, random images, share of the teacher's accuracy."""
    found = comparisons(metrics)
    if found:
        first = found[0]
        return f"{_reached(first.row)}; {_beside_random(first)}.{_share(first.row, metrics)}"
    only_random = [row for row in summary_rows(metrics) if row.set == REFERENCE]
    if only_random:
        return f"{_reached(only_random[0])}; no distilled set was evaluated.{_share(only_random[0], metrics)}"
    top1 = number((metrics.get("teacher") or {}).get("top1"))
    return "No student has been evaluated yet." + (f" The teacher reaches {top1:.1f} %." if top1 is not None else "")


def tally(metrics: Mapping[str, Any]) -> str:
    """Say how often the method is clearly above random images, when there is more than one comparison; else nothing."""
    found = [c for c in comparisons(metrics) if c.random is not None]
    if len(found) < 2:
        return ""
    above = sum(c.clear and (c.gap or 0) > 0 for c in found)
    below = sum(c.clear and (c.gap or 0) < 0 for c in found)
    return (
        f"Over all {len(found)} settings with random images beside: clearly above in {above}, "
        f"clearly below in {below}, not separated in {len(found) - above - below}."
    )


def plus_minus(mean: float, std: float | None) -> str:
    """Return `78.2 ± 1.1`, or the mean alone where there is no spread."""
    return f"{mean:.1f}" if std is None else f"{mean:.1f} ± {std:.1f}"


def _reached(row: Row) -> str:
    images = f"{row.ipc} image{'' if row.ipc == 1 else 's'} a class"
    name = name_of(row.set)
    verb = "reach" if row.set == REFERENCE else "reaches"
    return f"{name[:1].upper()}{name[1:]} {verb} {plus_minus(row.mean, row.std)} % with {images}"


def _beside_random(found: Comparison) -> str:
    if found.random is None or found.gap is None:
        return "random real images were not evaluated beside, so nothing follows from it yet"
    random = f"random real images under the same labels reach {plus_minus(found.random.mean, found.random.std)} %"
    points = f"{abs(found.gap):.1f}"
    side = "better" if found.gap > 0 else "worse"
    if found.spread is None:
        aside = "level" if points == "0.0" else f"{points} points {side}"
        return f"{random}: {aside}, but with a single seed the spread is unknown"
    if found.clear:
        return f"{random}: {points} points {side}, more than the two standard deviations together ({found.spread:.1f})"
    if points == "0.0":
        return f"{random}: no difference"
    return (
        f"{random}: {points} points {side}, which is within the two standard deviations together "
        f"({found.spread:.1f}), so no clear difference"
    )


def _share(row: Row, metrics: Mapping[str, Any]) -> str:
    top1 = number((metrics.get("teacher") or {}).get("top1"))
    if not top1:
        return ""
    subject = "They keep" if row.set == REFERENCE else f"{name_of(row.set)} keeps"
    return f" {subject} {100 * row.mean / top1:.0f} % of the teacher's accuracy ({top1:.1f} %)."


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """One line of a table of times or sizes."""

    name: str
    text: str
    share: float
    """Of the total, in per cent."""


def timings(seconds: Mapping[str, Any]) -> list[Amount]:
    """Return the stages' times in stored order, with their sum last."""
    return _amounts(seconds, duration)


def sizes(num_bytes: Mapping[str, Any]) -> list[Amount]:
    """Return the sizes on disk in stored order, with their sum last."""
    return _amounts(num_bytes, human_bytes)


def _amounts(values: Mapping[str, Any], text: Callable[[float], str]) -> list[Amount]:
    known = {name: value for name, value in ((name, number(v)) for name, v in values.items()) if value is not None}
    total = sum(known.values())
    lines = [
        Amount(name=name.replace("_", " "), text=text(value), share=100 * value / total if total else 0.0)
        for name, value in known.items()
    ]
    return [*lines, Amount(name="total", text=text(total), share=100.0)] if lines else []


def duration(seconds: float) -> str:
    """Return `850 ms`, `12.3 s`, `4 min 10 s` or `1 h 02 min`."""
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def human_bytes(count: float) -> str:
    """Return a size in decimal units, such as `1.2 MB`."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 999.95:
            return f"{count:.0f} bytes" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def flattened(recipe: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return a recipe as sections of (setting, value); what stands outside any section comes first, under `run`."""
    plain = [(str(name), _plain(value)) for name, value in recipe.items() if not isinstance(value, Mapping)]
    nested = [(str(name), _leaves(value)) for name, value in recipe.items() if isinstance(value, Mapping)]
    return [section for section in (("run", plain), *nested) if section[1]]


def _leaves(section: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    lines: list[tuple[str, str]] = []
    for name, value in section.items():
        if isinstance(value, Mapping):
            lines += _leaves(value, f"{prefix}{name}.")
        else:
            lines.append((f"{prefix}{name}", _plain(value)))
    return lines


def _plain(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value)) or "none"
    return str(value)
