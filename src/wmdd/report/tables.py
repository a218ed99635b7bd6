"""The sentences that sum up a run, and its amounts and settings as lines of tables."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from wmdd.evaluation.comparison import BASELINE, Block, Comparison, Row, blocks, comparisons, number
from wmdd.evaluation.protocols import CEILING_SET, is_pool
from wmdd.methods.catalogue import title_of
from wmdd.report.templates import ABSENT


def summary_rows(metrics: Mapping[str, Any]) -> list[Row]:
    """Return one row per set, images per class, student, protocol and labels: blocks as stored, random last in each."""
    return [row for block in evaluated(metrics) for row in block.rows]


def evaluated(metrics: Mapping[str, Any]) -> list[Block]:
    """Return the comparable rows of a run, block by block."""
    return blocks(metrics.get("evaluations") or (), tested(metrics))


def set_title(name: str) -> str:
    """Return the name of a set as tables have it: that of its method, or of the reference."""
    return f"{CEILING_SET}, same steps" if name == CEILING_SET else title_of(name)


def is_reference(name: str) -> bool:
    """Return whether a set is one that others are held against: random images, or a pool of real ones."""
    return name == BASELINE or is_pool(name)


def passes(row: Row, results: Mapping[str, Any]) -> float | None:
    """Return the compute of a row's students in passes over the real training images of a run, or a bench.

    That is the images that a student was shown, each as often as it was shown, over the number of real ones: 300 epochs
    at 10 images a class of ImageNet-1K are 2.3 passes. None if it is not known.
    """
    real = number((results.get("data") or {}).get("train"))
    return row.seen / real if row.seen and real else None


def passes_text(value: float | None) -> str:
    """Return passes with two digits, and all before the point; a dash where they are not known."""
    if value is None:
        return ABSENT
    return f"{value:,.0f}" if value >= 9.95 else f"{value:.1f}" if value >= 0.95 else f"{value:.2g}"


def tested(results: Mapping[str, Any]) -> int | None:
    """Return the number of test images of a run, or a bench; None if its results do not say."""
    return int(number((results.get("data") or {}).get("val")) or 0) or None


def beside_random(metrics: Mapping[str, Any]) -> list[Comparison]:
    """Return the run's own method beside random images, under every setting where it was evaluated."""
    return comparisons(evaluated(metrics), (metrics.get("run") or {}).get("method"))


def verdict(metrics: Mapping[str, Any]) -> str:
    """Sum up the run's first setting in plain words: accuracy, random images, share of the teacher's accuracy."""
    if pairs := beside_random(metrics):
        return f"{_accuracy(pairs[0].row)}; {_against_random(pairs[0])}.{_share(pairs[0].row, metrics)}"
    if rows := summary_rows(metrics):  # of real images alone
        row = next((row for row in rows if row.set == BASELINE), rows[0])
        return f"{_accuracy(row)}; no distilled set was evaluated.{_share(row, metrics)}"
    top1 = number((metrics.get("teacher") or {}).get("top1"))
    return "No student has been evaluated yet." + (f" The teacher reaches {top1:.1f} %." if top1 is not None else "")


def overall(metrics: Mapping[str, Any]) -> str:
    """Say how often the method is clearly above random images; empty for fewer than two comparisons."""
    winners = [pair.winner for pair in beside_random(metrics) if pair.baseline is not None]
    if len(winners) < 2:
        return ""
    return (
        f"Over all {len(winners)} settings with random images beside: clearly above in {winners.count(1)}, "
        f"clearly below in {winners.count(-1)}, not separated in {winners.count(0)}."
    )


def _accuracy(row: Row) -> str:
    images = f"{row.ipc} image{'' if row.ipc == 1 else 's'} a class"
    name = title_of(row.set)
    verb = "reach" if row.set == BASELINE else "reaches"
    return f"{name[:1].upper()}{name[1:]} {verb} {row.text} % with {images}{on_images(row)}"


def on_images(row: Row) -> str:
    """Say on how many test images an accuracy was counted, and what they leave open; empty if that is not known."""
    if row.interval is None:
        return ""
    low, high = row.interval
    images = f"{row.tested:,} image{'' if row.tested == 1 else 's'}"
    return f", tested on {images} (95 % interval of one student: {low:.1f} to {high:.1f})"


def _against_random(pair: Comparison) -> str:
    if pair.baseline is None:
        return "random real images were not evaluated beside, so nothing follows from it yet"
    return f"random real images under the same labels reach {pair.baseline.text} %: {difference(pair)}"


def difference(pair: Comparison) -> str:
    """Say how far a row is from its baseline, and whether that is clear; empty without a baseline."""
    if pair.gap is None:
        return ""
    points = f"{abs(pair.gap):.1f}"
    side = f"{points} points {'better' if pair.gap > 0 else 'worse'}"
    if pair.spread is None:
        return f"{'level' if points == '0.0' else side}, but with a single seed the spread is unknown"
    left_open = "" if pair.noise is None else f"what {pair.row.tested:,} test images leave open ({pair.noise:.1f})"
    together = f"the two standard deviations together ({pair.spread:.1f})"
    if pair.winner:
        return f"{side}, more than {together}" + (f" and than {left_open}" if left_open else "")
    if points == "0.0":
        return "no difference"
    within = together if abs(pair.gap) <= pair.spread else left_open
    return f"{side}, which is within {within}, so no clear difference"


def _share(row: Row, metrics: Mapping[str, Any]) -> str:
    top1 = number((metrics.get("teacher") or {}).get("top1"))
    if not top1:
        return ""
    subject = "They keep" if row.set == BASELINE else f"{title_of(row.set)} keeps"
    return f" {subject} {100 * row.mean / top1:.0f} % of the teacher's accuracy ({top1:.1f} %)."


class Amount(NamedTuple):
    """One line of a table of times or sizes."""

    name: str
    text: str
    share: float
    """Of the total, in per cent."""


def timings(seconds: Mapping[str, Any]) -> list[Amount]:
    """Return the stages' times in stored order, their sum last."""
    return _amounts(seconds, duration)


def sizes(num_bytes: Mapping[str, Any]) -> list[Amount]:
    """Return the sizes on disk in stored order, their sum last."""
    return _amounts(num_bytes, human_bytes)


def _amounts(values: Mapping[str, Any], text: Callable[[float], str]) -> list[Amount]:
    numbers = {name: value for name, given in values.items() if (value := number(given)) is not None}
    total = sum(numbers.values())
    lines = [
        Amount(name.replace("_", " "), text(value), 100 * value / total if total else 0.0)
        for name, value in numbers.items()
    ]
    return [*lines, Amount("total", text(total), 100.0)] if lines else []


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
    """Return a recipe as sections of (setting, value); settings outside any section come first, as section `run`."""
    run = {name: value for name, value in recipe.items() if not isinstance(value, Mapping)}
    nested = [(str(name), _leaves(value)) for name, value in recipe.items() if isinstance(value, Mapping)]
    return [section for section in (("run", _leaves(run)), *nested) if section[1]]


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
