"""Small folders of pictures."""

from pathlib import Path
from typing import Any

from PIL import Image

from wmdd.data.sources.opening import open_data
from wmdd.settings import DataSettings
from wmdd.values import ImageSet


def save(path: Path, value: int = 0, *, size: tuple[int, int] = (8, 8), mode: str = "RGB", **options: Any) -> None:
    """Write a picture of one grey value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode != "RGB" else (value,) * 3).save(path, **options)


def tree(root: Path, counts: dict[str, int], *, suffix: str = ".png", first: int = 0) -> Path:
    """Write `counts[folder]` images into each folder; no two are equal, nor those of trees with another `first`."""
    for place, (folder, count) in enumerate(counts.items(), first):
        for number in range(count):
            save(root / folder / f"{number:02d}{suffix}", 20 * number + place)
    return root


def opened(root: Path, **settings: Any) -> tuple[ImageSet, ImageSet]:
    """Open a folder."""
    return open_data(str(root), DataSettings(**settings))


def kinds(images: ImageSet) -> dict[str, int]:
    """Return the number told by the warnings of each kind."""
    return {warning.kind: warning.count for warning in images.warnings}
