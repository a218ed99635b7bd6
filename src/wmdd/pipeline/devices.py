"""The device and the floating-point type of a run."""

from pathlib import Path

import torch

from wmdd.errors import ConfigError


def choose_device(wanted: str, local_rank: int = 0) -> torch.device:
    """Return the device that `wanted` names; auto = CUDA, else MPS, else CPU. Each worker of a machine has its own GPU.

    Raises:
        ConfigError: no such device here.
    """
    if wanted == "auto":
        if torch.cuda.is_available():
            return _own_gpu(local_rank)
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(wanted)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device: cannot be used here; got {wanted!r}; use auto or cpu") from error
    if device == torch.device("cuda") and local_rank:
        return _own_gpu(local_rank)
    return device


def _own_gpu(local_rank: int) -> torch.device:
    """Return the GPU of a worker, which becomes torch's current one: a GPU of several workers would only slow them."""
    if local_rank == 0:
        return torch.device("cuda")
    count = torch.cuda.device_count()
    if local_rank >= count:
        raise ConfigError(
            f"device: each worker of a machine needs a GPU; got {count} for worker {local_rank + 1}; "
            f"start torchrun with --nproc-per-node {count}, or give --device cpu"
        )
    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)


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
