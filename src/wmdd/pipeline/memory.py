"""How much memory a stage took at most: of the GPU's, or of the whole process on other devices."""

import resource
import sys
from pathlib import Path

import torch

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def forget_peak(device: torch.device) -> None:
    """Begin to measure anew. Where the system cannot (outside Linux), the peak of the process's whole life remains."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    try:
        _CLEAR.write_text("5", encoding="ascii")  # Linux: the high-water mark of resident memory falls to what is used
    except OSError:
        return


def peak_memory(device: torch.device) -> int:
    """Return the bytes in use at the highest point since `forget_peak`.

    On CUDA: what tensors took on `device`. Elsewhere: resident memory of this process, libraries and decoded images
    included.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if _STATUS.exists():
        for line in _STATUS.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
