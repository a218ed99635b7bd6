"""How students are trained and tested, as data: two results are comparable only under one protocol.

Sources are the methods' own papers and scripts. Every protocol reports the accuracy
after the last epoch.
"""

from dataclasses import dataclass
from typing import Literal

from wmdd.errors import ConfigError, did_you_mean
from wmdd.settings import TrainSettings, ViewSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationProtocol:
    """One way of training a student on M distilled images."""

    name: str
    summary: str
    source: str
    labels: Literal["stored", "online", "hard"]
    """stored = replay the relabelled views; online = ask the teacher for each fresh view; hard = classes alone."""
    training: TrainSettings
    views: ViewSettings
    batches: tuple[tuple[int, int], ...]
    """(IPC up to which, batch) in rising order; the last one holds beyond."""
    many_classes: int = 1
    """Factor on the batch from 100 classes on."""
    temperature: float = 20.0

    def batch(self, ipc: int, num_classes: int) -> int:
        """Return the batch for a set of `ipc` images of each of `num_classes` classes; never more than all of them."""
        size = next((batch for upto, batch in self.batches if ipc <= upto), self.batches[-1][1])
        if num_classes >= 100:
            size *= self.many_classes
        return min(size, ipc * num_classes)

    def settings(self, ipc: int, num_classes: int, epochs: int | None = None) -> TrainSettings:
        """Return the training settings for such a set; `epochs` replaces the protocol's own."""
        return self.training.with_(batch=self.batch(ipc, num_classes), epochs=epochs or self.training.epochs)


_ADAMW = TrainSettings(epochs=300, optimiser="adamw", lr=1e-3, weight_decay=0.01)
_STRONG = ViewSettings(crop_min=0.08, flip=True, cutmix=1.0)

PROTOCOLS: dict[str, EvaluationProtocol] = {
    protocol.name: protocol
    for protocol in (
        EvaluationProtocol(
            name="wmdd",
            summary="300 epochs, batch 100 or all images, AdamW, plain cosine, stored labels",
            source="WMDD reference code run.sh and train_FKD.py",
            labels="stored",
            training=_ADAMW,
            views=_STRONG,
            batches=((10**9, 100),),
        ),
        EvaluationProtocol(
            name="sre2l",
            summary="as wmdd with batch 1024",
            source="SRe2L train_FKD.sh (NeurIPS 2023)",
            labels="stored",
            training=_ADAMW,
            views=_STRONG,
            batches=((10**9, 1024),),
        ),
        EvaluationProtocol(
            name="rded",
            summary="300 epochs, small batch, half cosine (zeta 2), teacher online, crops of half the area and more",
            source="RDED argument.py, validation/main.py (CVPR 2024), without the patch shuffle of its mosaics",
            labels="online",
            training=_ADAMW.with_(zeta=2.0),
            views=ViewSettings(crop_min=0.5, flip=True, cutmix=1.0),
            batches=((1, 10), (10, 50), (50, 100)),
            many_classes=2,
        ),
        EvaluationProtocol(
            name="rd3",
            summary="400 epochs, batch 50, teacher online",
            source="RD3 (ICLR 2026), from a summary; crops as in RDED",
            labels="online",
            training=_ADAMW.with_(epochs=400),
            views=ViewSettings(crop_min=0.5, flip=True, cutmix=1.0),
            batches=((10**9, 50),),
        ),
        EvaluationProtocol(
            name="hard",
            summary="300 epochs, batch 128, cross-entropy with the classes alone, light views",
            source="common to DD-Ranking's and Rethinking-DC's hard-label rows (300 to 1000 epochs, batch 128 to 256)",
            labels="hard",
            training=_ADAMW,
            views=ViewSettings(crop_min=0.5, flip=True, cutmix=0.0),
            batches=((10**9, 128),),
        ),
    )
}


def find_protocol(name: str) -> EvaluationProtocol:
    """Return the protocol called `name`."""
    if name not in PROTOCOLS:
        raise ConfigError(f"unknown protocol; got {name!r}{did_you_mean(name, PROTOCOLS)}")
    return PROTOCOLS[name]
