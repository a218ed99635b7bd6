"""The two kinds of `Images`: decoded in memory, or encoded and read as needed."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from wmdd.data.sources.decoding import Canvas, decode_into, threads_to_use
from wmdd.data.sources.listing import Listing
from wmdd.errors import DataError


class DecodedImages:
    """Images as one tensor in memory."""

    in_memory = True

    def __init__(self, pixels: Tensor) -> None:
        self.pixels = pixels
        """uint8 `(N, ch, S, S)`."""

    def __len__(self) -> int:
        return len(self.pixels)

    def fetch(self, indices: Sequence[int]) -> Tensor:
        """Return the images at `indices`, uint8 `(B, ch, S, S)`."""
        return self.pixels[torch.as_tensor(indices, dtype=torch.int64)]


class LazyImages:
    """Images that are read and decoded each time they are fetched."""

    in_memory = False

    def __init__(self, listing: Listing, canvas: Canvas) -> None:
        self._listing = listing
        self._canvas = canvas

    def __len__(self) -> int:
        return len(self._listing)

    def fetch(self, indices: Sequence[int]) -> Tensor:
        """Decode the images at `indices`, uint8 `(B, ch, S, S)`, with a pool of threads unless in a worker process.

        Raises:
            DataError: an image cannot be read.
        """
        positions = np.asarray(indices, dtype=np.int64)
        order = np.argsort(self._listing.rows[positions], kind="stable")  # neighbours in a store are read together
        positions = positions[order]
        side = self._canvas.side
        pixels = np.empty((len(positions), self._canvas.channels, side, side), dtype=np.uint8)
        threads = 1 if get_worker_info() else threads_to_use()
        broken = decode_into(pixels, self._listing.store, self._listing.rows[positions], self._canvas, threads=threads)
        if broken:
            name = self._listing.image_name(int(positions[broken[0].position]))
            raise DataError(
                f"cannot read an image of {self._listing.name!r}; got {name} ({broken[0].reason}); repair or remove it"
            )
        return torch.from_numpy(pixels[np.argsort(order)])
