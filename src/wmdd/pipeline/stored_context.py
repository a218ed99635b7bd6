"""The context that writes: devices, saved state in a result's folder, rows in its log, progress to whoever watches."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from wmdd.artifacts.files import append_text, mapped_tensor, read_json, read_tensors, write_json, write_tensors
from wmdd.artifacts.folder import ResultFolder
from wmdd.context import Context, Saved
from wmdd.errors import ConfigError


class Watcher(Protocol):
    """Somebody who wants to know how a run goes; the command line is one."""

    def note(self, text: str) -> None:
        """Hear a sentence."""
        ...

    def begin(self, stage: str) -> None:
        """Hear that a stage begins."""
        ...

    def progress(self, stage: str, done: int, total: int) -> None:
        """Hear how far it is."""
        ...

    def end(self, stage: str, seconds: float, reused: bool) -> None:
        """Hear that it is finished, or was found finished."""
        ...

    def stop_asked(self) -> bool:
        """Tell whether the run shall stop at the next good moment."""
        ...


class Silence:
    """A watcher who hears nothing and never interrupts."""

    def note(self, text: str) -> None:
        """Ignore it."""

    def begin(self, stage: str) -> None:
        """Ignore it."""

    def progress(self, stage: str, done: int, total: int) -> None:
        """Ignore it."""

    def end(self, stage: str, seconds: float, reused: bool) -> None:
        """Ignore it."""

    def stop_asked(self) -> bool:
        """Never ask."""
        return False


@dataclass(frozen=True, slots=True)
class Brief:
    """Passes on to a watcher all but that something was found finished."""

    watcher: Watcher

    def note(self, text: str) -> None:
        """Pass it on."""
        self.watcher.note(text)

    def begin(self, stage: str) -> None:
        """Pass it on."""
        self.watcher.begin(stage)

    def progress(self, stage: str, done: int, total: int) -> None:
        """Pass it on."""
        self.watcher.progress(stage, done, total)

    def end(self, stage: str, seconds: float, reused: bool) -> None:
        """Pass it on if the stage was made here."""
        if not reused:
            self.watcher.end(stage, seconds, reused)

    def stop_asked(self) -> bool:
        """Pass it on."""
        return self.watcher.stop_asked()


@dataclass(slots=True)
class _Clock:
    """Seconds spent on a result over all attempts, and when its state was last saved."""

    before: float = 0.0
    started: float = field(default_factory=time.monotonic)
    saved: float = field(default_factory=time.monotonic)
    noted: float = 0.0
    """When the seconds were last written down."""
    polled: bool = False
    """Whether the stage asks when to save; it then saves before it stops."""

    def seconds(self) -> float:
        """Return the seconds spent so far."""
        return self.before + time.monotonic() - self.started


@dataclass(frozen=True, kw_only=True)
class StoredContext(Context):
    """Surroundings that keep state in the folder of the result."""

    folder: ResultFolder
    run_log: Path
    watcher: Watcher
    save_every: float = 20.0
    clock: _Clock = field(default_factory=_Clock)

    def __post_init__(self) -> None:
        spent = self.folder.work / "seconds.json"
        if spent.exists():
            self.clock.before = float(read_json(spent))

    def log(self, **row: Any) -> None:
        """Append the row to the result's log and to the run's."""
        line = json.dumps({"stage": self.stage, **row}, ensure_ascii=False) + "\n"
        for path in (self.folder.log, self.run_log):
            append_text(path, line)

    def progress(self, done: int, total: int) -> None:
        """Pass it on; a stage that keeps no state of its own is stopped here if somebody asked for it."""
        self.watcher.progress(self.stage, done, total)
        if self.watcher.stop_asked() and not self.clock.polled:
            raise KeyboardInterrupt

    def due(self) -> bool:
        """Tell whether `save_every` seconds are over, or somebody asked to stop."""
        self.clock.polled = True
        return self.watcher.stop_asked() or time.monotonic() - self.clock.saved >= self.save_every

    def save(self, name: str, tensors: Mapping[str, Tensor], **facts: Any) -> bool:
        """Write the state; then stop if somebody asked for it."""
        write_tensors(self._file(name), tensors, facts)
        self.clock.saved = time.monotonic()
        if self.clock.saved - self.clock.noted > 1:
            write_json(self.folder.work / "seconds.json", self.clock.seconds())
            self.clock.noted = self.clock.saved
        if self.watcher.stop_asked():
            raise KeyboardInterrupt
        return True

    def restore(self, name: str) -> Saved | None:
        """Read the state."""
        path = self._file(name)
        if not path.exists():
            return None
        tensors, facts = read_tensors(path)
        return Saved(tensors=tensors, facts=facts)

    def array(self, name: str, shape: Sequence[int]) -> Tensor:
        """Return a tensor in the result's own folder."""
        return mapped_tensor(self.folder.path / f"{name}.safetensors", name, tuple(shape))

    def _file(self, name: str) -> Path:
        """Return the file of a saved state."""
        return self.folder.work / f"{name.replace('/', '_').replace(' ', '_')}.safetensors"


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
    """Return `fp32` or `bf16`; auto = bf16 where the machine computes in it, else fp32."""
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device.type == "cpu":
        capable = torch.ops.mkldnn._is_mkldnn_bf16_supported() and has_bf16_instructions()  # pyright: ignore
        return "bf16" if capable else "fp32"
    return "fp32"


def has_bf16_instructions() -> bool:
    """Tell whether this CPU multiplies in bf16 (AVX512-BF16 or AMX); without it, bf16 is far slower than fp32."""
    info = Path("/proc/cpuinfo")
    flags = info.read_text() if info.exists() else ""
    return "avx512_bf16" in flags or "amx_bf16" in flags
