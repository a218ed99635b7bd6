"""Finished files of a run folder → one HTML page that opens offline; knows no network and no training."""

from wmdd.report.page import write_report
from wmdd.report.tables import Row, plus_minus, summary_rows, verdict

__all__ = ["Row", "plus_minus", "summary_rows", "verdict", "write_report"]
