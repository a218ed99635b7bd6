"""The sentences that sum up a run, and its amounts and settings as lines of tables."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from wmdd.evaluation.comparison import Block, Comparison, blocks, comparisons
from wmdd.evaluation.differences import Difference, signed
from wmdd.evaluation.proportion import half_width
from wmdd.evaluation.real_names import CEILING_SET, pool_multiple
from wmdd.evaluation.rows import BASELINE, Row, number
from wmdd.evaluation.tested import Kind, images_tested, kind_tested
from wmdd.methods.catalogue import title_of
from wmdd.report.shares import share_sentence
from wmdd.report.templates import ABSENT

READING = (
    "± is the standard deviation between the means of the sets, in brackets the numbers of sets × students of each; "
    "with one set (1 × 3), it is that of its students."
)
"""How to read `Row.text`."""


def summary_rows(metrics: Mapping[str, Any]) -> list[Row]:
    """Return one row per set, images per class, student, protocol and labels: blocks as stored, random last in each."""
    return [row for block in evaluated(metrics) for row in block.rows]


def evaluated(metrics: Mapping[str, Any]) -> list[Block]:
    """Return the comparable rows of a run, block by block."""
    return blocks(metrics.get("evaluations") or (), tested(metrics))


def set_title(name: str) -> str:
    """Return the name of a set as tables have it: that of its method, or of the reference."""
    if (multiple := pool_multiple(name)) is not None:
        return f"{title_of(BASELINE)} ×{multiple:g}"
    return f"{CEILING_SET}, same steps" if name == CEILING_SET else title_of(name)


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


def sampling(results: Mapping[str, Any]) -> str:
    """Say what the number of test images leaves open, with a space before; empty if it is not known."""
    images = tested(results)
    if images is None:
        return ""
    count = images_tested(images, kind_tested(results.get("data")))
    return f" {count}: 95 % interval of an accuracy of 50 %, ± {100 * half_width(0.5, images):.1f} (binomial)."


def beside_random(metrics: Mapping[str, Any]) -> list[Comparison]:
    """Return the run's own method beside random images, under every setting where it was evaluated."""
    return comparisons(evaluated(metrics), (metrics.get("run") or {}).get("method"))


def verdict(metrics: Mapping[str, Any]) -> str:
    """Sum up the run's first setting in plain words: accuracy, random images, share of the teacher's accuracy."""
    kind = kind_tested(metrics.get("data"))
    if pairs := beside_random(metrics):
        against = _against_random(pairs[0])
        gap = share_sentence(title_of(pairs[0].row.set), pairs[0].worth)
        return f"{_accuracy(pairs[0].row, kind)}; {against}.{gap}{_share(pairs[0].row, metrics)}"
    if rows := summary_rows(metrics):  # of real images alone
        row = next((row for row in rows if row.set == BASELINE), rows[0])
        return f"{_accuracy(row, kind)}; no distilled set was evaluated.{_share(row, metrics)}"
    top1 = number((metrics.get("teacher") or {}).get("top1"))
    return "No student has been evaluated yet." + (f" The teacher reaches {top1:.1f} %." if top1 is not None else "")


def overall(metrics: Mapping[str, Any]) -> str:
    """Say how often the method can be told from random images; empty for fewer than two comparisons."""
    signs = [apart.sign for pair in beside_random(metrics) if (apart := pair.difference) is not None]
    if len(signs) < 2:
        return ""
    return (
        f"Over all {len(signs)} settings with random images beside: clearly above in {signs.count(1)}, "
        f"clearly below in {signs.count(-1)}, not separated in {signs.count(0)}."
    )


def _accuracy(row: Row, kind: Kind) -> str:
    images = f"{row.ipc} image{'' if row.ipc == 1 else 's'} a class"
    name = title_of(row.set)
    verb = "reach" if row.set == BASELINE else "reaches"
    return f"{name[:1].upper()}{name[1:]} {verb} {row.words} with {images}{on_images(row, kind)}"


def on_images(row: Row, kind: Kind) -> str:
    """Say on how many images, and of which `kind`, an accuracy was counted, and what they leave open.

    Empty if that is not known.
    """
    if row.interval is None:
        return ""
    low, high = row.interval
    count = row.tested or 0
    images = f"{count:,} image{'' if count == 1 else 's'}" if kind == "test" else images_tested(count, kind)
    return f", tested on {images} (95 % interval of one student: {low:.1f} to {high:.1f})"


def _against_random(pair: Comparison) -> str:
    if pair.baseline is None or pair.difference is None:
        return "random real images were not evaluated beside, so nothing follows from it yet"
    return f"random real images under the same labels reach {pair.baseline.words}: {apart(pair.difference)}"


def apart(difference: Difference) -> str:
    """Say how far a row is from another one, how well that is known, and whether it is clear."""
    value, interval = difference.value, difference.interval
    side = f"{abs(value):.1f} points {'better' if value > 0 else 'worse'}"
    if interval is None:
        level = signed(value) == "0.0"
        return f"{'level' if level else side}, but {difference.basis}, so nothing follows from it"
    low, high = map(signed, interval)
    known = f"standard error {difference.error:.1f}, 95 % interval {low} to {high}, {difference.basis}"
    return f"{side} ({known})" + ("" if difference.sign else ": no clear difference")


def _share(row: Row, metrics: Mapping[str, Any]) -> str:
    top1 = number((metrics.get("teacher") or {}).get("top1"))
    if not top1:
        return ""
    subject = "They keep" if row.set == BASELINE else f"{title_of(row.set)} keeps"
    return f" {subject} {100 * row.mean / top1:.0f} % of the teacher's accuracy ({top1:.1f} %)."


PER_IMAGE = "soft_labels_per_image"
"""Name among the bytes of a run for those of an image's soft labels."""


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
    """Return the sizes on disk in stored order, their sum last; behind that of soft labels what an image's take."""
    each = number(num_bytes.get(PER_IMAGE))
    lines = _amounts({name: value for name, value in num_bytes.items() if name != PER_IMAGE}, human_bytes)
    if each is None:
        return lines
    return [
        line._replace(text=f"{line.text} ({human_bytes(each)} an image)") if line.name == "soft labels" else line
        for line in lines
    ]


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
