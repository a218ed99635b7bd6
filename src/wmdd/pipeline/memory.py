"""Peak memory of a stage: the GPU's, or on other devices that of the whole process."""

import resource
import sys
from pathlib import Path

import torch

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def forget_peak(device: torch.device) -> None:
    """Reset the peak. Where the system cannot (outside Linux), the peak since the start of the process remains."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    try:
        _CLEAR.write_text("5", encoding="ascii")  # Linux: resets the high-water mark of resident memory
    except OSError:
        return


def peak_memory(device: torch.device) -> int:
    """Return the largest number of bytes in use since `forget_peak`.

    On CUDA: of tensors on `device`. Elsewhere: resident memory of this process, with libraries and decoded images.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if _STATUS.exists():
        for line in _STATUS.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
