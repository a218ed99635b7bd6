"""What this machine has and what is missing."""

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import torch

from wmdd.pipeline.devices import choose_device, choose_precision
from wmdd.pipeline.provenance import versions
from wmdd.processors import processors

EXTRAS = {"datasets": "hf", "huggingface_hub": "hf"}


def examine() -> dict[str, str]:
    """Return named findings, each in a line."""
    device = choose_device("auto")
    free = shutil.disk_usage(Path.cwd()).free
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    findings = dict(versions())
    findings["device"] = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    findings["precision"] = f"auto = {choose_precision('auto', device)}"
    findings["processors"] = f"{os.cpu_count()}, {processors()} for this process, torch uses {torch.get_num_threads()}"
    findings["memory"] = f"{memory / 1e9:.1f} GB"
    findings["disk here"] = f"{free / 1e9:.1f} GB free"
    for package, extra in EXTRAS.items():
        present = find_spec(package) is not None
        findings[package] = "installed" if present else f"missing; pip install 'wmdd[{extra}]'"
    return findings
