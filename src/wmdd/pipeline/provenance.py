"""The code that makes a result."""

import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("wmdd", "torch", "torchvision", "timm", "POT", "numpy")


@cache
def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide results, and the commit of a checkout."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    commit = _commit()
    return found | ({"commit": commit} if commit else {})


def _commit() -> str:
    """Return the commit of the checkout in which this very file is tracked; empty outside one."""
    tracked = _git("ls-files", "--error-unmatch", Path(__file__).name)
    return _git("describe", "--always", "--dirty", "--abbrev=12") if tracked else ""


def _git(*words: str) -> str:
    """Return what git prints, empty if it fails."""
    try:
        done = subprocess.run(
            ["git", *words], cwd=Path(__file__).parent, capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
