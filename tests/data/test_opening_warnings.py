"""What was seen while listing reaches the training images."""

import numpy as np
import pytest

from wmdd.data.sources import opening, table
from wmdd.data.sources.listing import ArrayStore, Listing, Source, Splits
from wmdd.settings import DataSettings
from wmdd.warnings import RunWarning


def test_warnings_of_a_listing_come_with_the_training_images(monkeypatch: pytest.MonkeyPatch) -> None:
    store = ArrayStore(pixels=np.arange(128, dtype=np.uint8).reshape(8, 4, 4))
    listing = Listing.of(store, [0, 1] * 4, name="it", split="train", classes=("a", "b"))
    warning = RunWarning(kind="skipped files", text="left out 3 files; convert them", count=3)
    source = Source(forms={}, claims=lambda _: True, list_splits=lambda *_: Splits(train=listing, warnings=(warning,)))
    monkeypatch.setattr(table, "SOURCES", (source,))
    train, val = opening.open_data("it", DataSettings(image_size=4))
    assert (train.warnings, val.warnings) == ((warning,), ())
    assert warning.count == 3
