"""From `metrics.json` to the table of DD-Ranking's scores, and to the students that were trained on all real images."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wmdd.report.collect import number
from wmdd.report.tables import Row, summary_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """One set's scores under one student and protocol, fractions; None is what the run cannot tell."""

    set: str
    student: str
    protocol: str
    labels: str
    ior: float | None
    hlr: float | None
    lrs: float | None
    ars: float | None


def ranking(metrics: Mapping[str, Any]) -> list[Ranked]:
    """Return the rows, or none if the run can tell no more than the improvement over random images."""
    rows = [
        Ranked(
            set=str(row["set"]),
            student=str(row["student"]),
            protocol=str(row["protocol"]),
            labels=str(row["labels"]),
            ior=number(row.get("ior")),
            hlr=number(row.get("hlr")),
            lrs=number(row.get("lrs")),
            ars=number(row.get("ars")),
        )
        for row in metrics.get("ranking") or ()
    ]
    return rows if any((row.hlr, row.lrs, row.ars) != (None, None, None) for row in rows) else []


def full_data(metrics: Mapping[str, Any]) -> list[Row]:
    """Return the accuracies of students that were trained on all real images."""
    return summary_rows({"evaluations": metrics.get("full_data") or ()})
