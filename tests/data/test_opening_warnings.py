"""What was seen while listing reaches the training images."""

import numpy as np
import pytest

from wmdd.data.sources import opening
from wmdd.data.sources.listing import ArrayStore, Listing, Source, Splits, noted
from wmdd.settings import DataSettings


def test_warnings_of_a_listing_come_with_the_training_images(monkeypatch: pytest.MonkeyPatch) -> None:
    store = ArrayStore(pixels=np.arange(128, dtype=np.uint8).reshape(8, 4, 4))
    listing = Listing.of(store, [0, 1] * 4, name="it", split="train", classes=("a", "b"))
    warning = noted("skipped files", "left out 3 files; convert them", 3)
    source = Source(forms={}, claims=lambda _: True, list_splits=lambda *_: Splits(train=listing, warnings=(warning,)))
    monkeypatch.setattr(opening, "SOURCES", (source,))
    train, val = opening.open_data("it", DataSettings(image_size=4))
    assert (train.warnings, val.warnings) == ((warning,), ())
    assert warning.count == 3
