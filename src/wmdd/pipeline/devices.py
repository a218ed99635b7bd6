"""The device and the floating-point type of a run."""

from pathlib import Path

import torch

from wmdd.errors import ConfigError


def choose_device(wanted: str) -> torch.device:
    """Return the device that `wanted` names; auto = CUDA, else MPS, else CPU.

    Raises:
        ConfigError: no such device here.
    """
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(wanted)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device: cannot be used here; got {wanted!r}; use auto or cpu") from error
    return device


def choose_precision(wanted: str, device: torch.device) -> str:
    """Return `fp32` or `bf16`; auto = bf16 where the hardware supports it, else fp32."""
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device.type == "cpu":
        capable = torch.ops.mkldnn._is_mkldnn_bf16_supported() and _has_bf16_instructions()  # pyright: ignore
        return "bf16" if capable else "fp32"
    return "fp32"


def _has_bf16_instructions() -> bool:
    """Return whether this CPU multiplies in bf16 (AVX512-BF16 or AMX); without it, bf16 is far slower than fp32."""
    info = Path("/proc/cpuinfo")
    flags = info.read_text() if info.exists() else ""
    return "avx512_bf16" in flags or "amx_bf16" in flags
