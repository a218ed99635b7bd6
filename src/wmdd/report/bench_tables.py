"""A bench as Markdown and as LaTeX: one table for each student, protocol and kind of labels, costs beside."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from wmdd.report.bench import Bench, Cost, Figure, Panel
from wmdd.report.collect import REFERENCE, name_of, number
from wmdd.report.tables import duration, human_bytes

COLUMNS = ("time", "memory", "images", "labels")
"""Names of the cost columns."""
_ABSENT = "–"
_SPECIAL = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a table."""

    title: str
    figures: tuple[Figure | None, ...]
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
        yield Line(title=row.title, figures=_in_order(row.figures, bench), costs=costs, random=row.name == REFERENCE)
        if row.random:
            title = f"{name_of(REFERENCE)}, labels of {row.title}"
            yield Line(title=title, figures=_in_order(row.random, bench), costs=cost_texts(None), random=True)


def _in_order(figures: Mapping[int, Figure], bench: Bench) -> tuple[Figure | None, ...]:
    return tuple(figures.get(ipc) for ipc in bench.ipcs)


def markdown(bench: Bench) -> str:
    """Return the tables as Markdown."""
    parts = [f"# Methods on {bench.results['data']['name']}", _lead(bench), finding(bench)]
    for panel in bench.panels:
        head = ["method", *(f"IPC {ipc}" for ipc in bench.ipcs), *COLUMNS]
        lines = [head, ["---", *["---:"] * (len(head) - 1)]]
        lines += [[_md(line.title), *map(_md_figure, line.figures), *line.costs] for line in table_lines(panel, bench)]
        parts += [f"## {_md(panel.title)}", "\n".join(f"| {' | '.join(line)} |" for line in lines)]
        parts += [reference] if (reference := full_data(panel, bench)) else []
    parts.append(notes(bench))
    if bench.failures:
        parts += ["## Failed", "\n".join(f"- {_md(name)}: {_md(reason)}" for name, reason in bench.failures)]
    return "\n\n".join(parts) + "\n"


def latex(bench: Bench) -> str:
    """Return the tables as LaTeX, for a document with the package booktabs."""
    return "\n".join(_latex_table(panel, bench) for panel in bench.panels)


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
    last = max((ipc for panel in bench.panels[:1] for row in panel.rows for ipc in row.figures), default=0)
    if not last:
        return "No student has been evaluated yet."
    panel = bench.panels[0]
    at = {row.name: row for row in panel.rows if last in row.figures}
    leader = max(at.values(), key=lambda row: row.figures[last].mean)
    first = leader.figures[last]
    images = f"{last} image{'' if last == 1 else 's'} a class"
    told = f"With {images}, the highest mean is that of {leader.title}: {first.text} % ({panel.title})"
    if leader.name == REFERENCE or REFERENCE not in at:
        return f"{told}."
    random = leader.random.get(last, at[REFERENCE].figures[last])
    gap, spread = first.mean - random.mean, (first.within or 0.0) + (random.within or 0.0)
    side = "more than" if gap > spread else "within"
    return (
        f"{told}; random real images with the same labels reach {random.text} %. The gap is {gap:.1f} points, {side} "
        "both spreads together."
    )


def cost_texts(cost: Cost | None) -> tuple[str, ...]:
    """Return a cost in the order of `COLUMNS`."""
    if cost is None:
        return (_ABSENT,) * len(COLUMNS)
    memory = _ABSENT if cost.memory is None else human_bytes(cost.memory)
    return duration(cost.seconds), memory, human_bytes(cost.images), human_bytes(cost.labels)


def _memory_of(bench: Bench) -> str:
    """Say what the memory figures count."""
    on_gpu = str(bench.results["run"]["device"]).startswith("cuda")
    return "tensors on the GPU" if on_gpu else "the whole process, libraries included"


def _lead(bench: Bench) -> str:
    data, teacher = bench.results["data"], bench.results["teacher"]
    top1 = number(teacher.get("top1"))
    reached = f", which reaches {top1:.1f} %" if top1 is not None else ""
    unfinished = f" {bench.waiting} sets are still to be made." if bench.waiting else ""
    return (
        f"{data['train']:,} training and {data['val']:,} test images at {data['image_size']} px; labels are "
        f"those of one teacher, {_md(str(teacher['arch']))}{reached}, or of the method's own.{unfinished}"
    )


def _md_figure(figure: Figure | None) -> str:
    if figure is None:
        return _ABSENT
    return f"**{figure.text}**" if figure.best else figure.text


def _md(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _latex_table(panel: Panel, bench: Bench) -> str:
    columns = len(bench.ipcs) + len(COLUMNS)
    head = ["Method", *(f"IPC {ipc}" for ipc in bench.ipcs), *(name.capitalize() for name in COLUMNS)]
    body = [
        [_tex(line.title), *map(_tex_figure, line.figures), *map(_tex, line.costs)]
        for line in table_lines(panel, bench)
    ]
    told = " ".join(filter(None, (full_data(panel, bench), notes(bench))))
    caption = f"Top-1 (\\%) on {_tex(bench.results['data']['name'])}: {_tex(panel.title)}. {_tex(told)}"
    return "\n".join(
        [
            r"\begin{table}[t]",
            r"  \centering",
            f"  \\caption{{{caption}}}",
            f"  \\begin{{tabular}}{{l{'r' * columns}}}",
            r"    \toprule",
            f"    {' & '.join(head)} \\\\",
            r"    \midrule",
            *(f"    {' & '.join(line)} \\\\" for line in body),
            r"    \bottomrule",
            r"  \end{tabular}",
            "\\end{table}\n",
        ]
    )


def _tex_figure(figure: Figure | None) -> str:
    if figure is None:
        return "--"
    return f"\\textbf{{{_tex(figure.text)}}}" if figure.best else _tex(figure.text)


def _tex(text: str) -> str:
    escaped = "".join(_SPECIAL.get(character, character) for character in text)
    return escaped.replace("±", r"$\pm$").replace(_ABSENT, "--")
