"""From the finished files of a run or bench folder to tables and a page that opens offline; free of torch.

- A run: `page` reads the folder and shows sentences (`tables`), curves (`collect`) and the diagnosis (`distances`).
- A bench: `bench` reads `bench.json`, `bench_tables` words it, `bench_page` writes it as HTML, Markdown and LaTeX;
  `prediction` says which losses of its sets predict what students reach.
- Both: `figures` draws a `collect.Plot`, `templates` fills a template;
  `evaluation.rows` and `evaluation.comparison` sum up and compare the scores.
"""

import os
from pathlib import Path

from wmdd.evaluation.rows import Row
from wmdd.pipeline.bench_file import BENCH_FILE
from wmdd.report.bench_page import write_bench
from wmdd.report.page import write_report
from wmdd.report.prediction import predict_bench
from wmdd.report.shares import READING as SHARE_READING
from wmdd.report.shares import share_text
from wmdd.report.tables import READING, evaluated, passes, passes_text, sampling, summary_rows, tested, verdict

__all__ = [
    "READING",
    "SHARE_READING",
    "Row",
    "evaluated",
    "passes",
    "passes_text",
    "predict_bench",
    "sampling",
    "share_text",
    "summary_rows",
    "tested",
    "verdict",
    "write_bench",
    "write_page",
    "write_report",
]


def write_page(folder: Path) -> Path:
    """Write the page of a run, or of a bench with its tables, from its finished files, and return the page's path.

    Raises:
        ArtifactError: it is not the folder of one, or a file in it is damaged or cannot be written.
    """
    return (write_bench if os.path.isfile(folder / BENCH_FILE) else write_report)(folder)
