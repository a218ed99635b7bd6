"""Finished files of a run or bench folder → tables and a page that opens offline; knows no network and no training."""

from wmdd.evaluation.comparison import Row, plus_minus
from wmdd.report.bench_page import write_bench
from wmdd.report.page import write_report
from wmdd.report.tables import summary_rows, verdict

__all__ = ["Row", "plus_minus", "summary_rows", "verdict", "write_bench", "write_report"]
