"""Which code made a result that is not this package's own: a digest of the source of the package it belongs to.

The files of modules that are loaded are read once, when they are first asked about, and again only after a reload: so
a file that is edited while its old code still runs does not give the old code's result the new code's name.
"""

import sys
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from types import ModuleType

_OURS = "wmdd"
_DIGITS = 12
_READ: dict[str, tuple[object, bytes]] = {}
"""Name of a loaded module → what stands for this very load of it, and the digest of its file then."""


def code_digest(module: str) -> str:
    """Return a digest of all `.py` files of the package that a loaded module belongs to, or of its only file.

    The package is the outermost one that has an `__init__.py`, so that of a namespace shared by several distributions
    only the right part counts. Empty for modules of this package, and for those without a file, such as a notebook.
    """
    root = _outermost(module)
    if root is None or root.__name__ == _OURS:
        return ""
    loaded = _loaded_files(root.__name__)
    found = sha256()
    for name, path in _files(root).items():
        found.update(f"{name}\0".encode())
        found.update(_digest(path, loaded.get(path)))
    return found.hexdigest()[:_DIGITS]


def _outermost(module: str) -> ModuleType | None:
    """Return the outermost loaded package with a file that a module belongs to, which may be the module itself."""
    parts = module.split(".")
    names = (".".join(parts[: end + 1]) for end in range(len(parts)))
    packages = (sys.modules.get(name) for name in names)
    return next((each for each in packages if each is not None and getattr(each, "__file__", None)), None)


def _files(root: ModuleType) -> dict[str, Path]:
    """Return the files of a package by their place in it, in order."""
    file = Path(root.__file__ or "")
    if not hasattr(root, "__path__"):
        return {file.name: file}
    return {path.relative_to(file.parent).as_posix(): path for path in sorted(file.parent.rglob("*.py"))}


def _loaded_files(root: str) -> Mapping[Path, ModuleType]:
    """Return the loaded modules of a package by their files."""
    own = [each for name, each in list(sys.modules.items()) if name == root or name.startswith(f"{root}.")]
    return {Path(file): each for each in own if (file := getattr(each, "__file__", None))}


def _digest(path: Path, module: ModuleType | None) -> bytes:
    """Return the digest of a file; of a loaded module's as it was when first asked about."""
    if module is None:
        return sha256(path.read_bytes()).digest()
    load = module.__spec__ or module  # a reload makes another specification
    known = _READ.get(module.__name__)
    if known is None or known[0] is not load:
        known = _READ[module.__name__] = (load, sha256(path.read_bytes()).digest())
    return known[1]
