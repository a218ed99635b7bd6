"""From the finished files of a run or bench folder to tables and a page that opens offline; free of torch.

- A run: `page` reads the folder and shows sentences (`tables`), curves (`collect`) and the diagnosis (`distances`).
- A bench: `bench` reads `bench.json`, `bench_tables` words it, `bench_page` writes it as HTML, Markdown and LaTeX.
- Both: `figures` draws a `collect.Plot`, `templates` fills a template; `evaluation.comparison` compares the scores.
"""

from wmdd.evaluation.comparison import Row, plus_minus
from wmdd.report.bench_page import write_bench
from wmdd.report.page import write_report
from wmdd.report.tables import passes, passes_text, summary_rows, tested, verdict

__all__ = [
    "Row",
    "passes",
    "passes_text",
    "plus_minus",
    "summary_rows",
    "tested",
    "verdict",
    "write_bench",
    "write_report",
]
