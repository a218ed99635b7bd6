"""Rows of the table that `python -m benchmarks.table` prints, and the file that keeps them."""

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from wmdd.pipeline.provenance import versions


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A figure, and the limit that it should keep."""

    part: str
    name: str
    value: float
    unit: str
    limit: float | None = None
    """Largest value, or smallest where more is better; None = there is none."""
    more_is_better: bool = False
    about: str = ""

    @property
    def kept(self) -> bool:
        """Whether the limit is kept, if there is one."""
        return self.limit is None or (self.value >= self.limit if self.more_is_better else self.value <= self.limit)

    def __str__(self) -> str:
        limit = "" if self.limit is None else f"{'>=' if self.more_is_better else '<='} {self.limit:g}"
        verdict = "" if self.kept else "  BEYOND"
        figure = f"{self.value:.2f}" if abs(self.value) < 1000 else f"{self.value:.0f}"
        return f"{self.part:9} {self.name:52} {figure:>9} {self.unit:14} {limit:8}{verdict}  {self.about}".rstrip()


def machine(device: torch.device) -> dict[str, Any]:
    """Return what figures depend on: device, processors, threads, load and versions, the commit among them."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    return {
        "device": name,
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1),
        "versions": versions(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def command_of(module: str) -> str:
    """Return the command line of a module of this folder, without the file it writes to, a path of this machine."""
    words = sys.argv[1:]
    if "--out" in words:
        del words[words.index("--out") : words.index("--out") + 2]
    return " ".join([f"python -m benchmarks.{module}", *words])


def write_rows(path: Path, rows: Sequence[Row], command: str, about: Mapping[str, Any], **more: Any) -> None:
    """Write rows as JSON, with the command and the machine, whose load is that of the beginning."""
    content = {"command": command, **about, **more, "rows": [asdict(row) for row in rows]}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
