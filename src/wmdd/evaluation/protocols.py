"""How students are trained and tested, as data: two results are comparable only under one protocol.

Each protocol names its source; docs/protocols.md says what each is for. All report accuracy after the last epoch.
"""

from dataclasses import dataclass, replace
from typing import Annotated, Literal

from pydantic import Field

from wmdd.evaluation.falling import FallingTemperature
from wmdd.settings import FULL_DSA, NO_DSA, TangentKernel, TrainSettings, ViewSettings

Procedure = Literal["training", "kernel", "steps"]
"""What is done with a set: students are trained on it, or take steps with the learning rates that the set has learned,
or kernel regression on it replaces them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationProtocol:
    """Rules for training and testing students on a distilled set."""

    name: str
    summary: str
    source: str
    labels: Literal["stored", "online", "hard"]
    """stored = replay the relabelled views; online = the teachers label each fresh view; hard = the set's own fixed
    targets, or else its classes: the weights of images are then not used, as in the evaluations that these repeat."""
    training: TrainSettings
    views: ViewSettings
    batches: Annotated[tuple[tuple[int, int], ...], Field(min_length=1)]
    """(largest IPC, batch) in rising order; the last batch also holds for any larger IPC."""
    many_classes: int = 1
    """Factor on the batch from 100 classes on."""
    loss: Literal["kl", "mse"] = "kl"
    """Loss of soft labels: divergence at `temperature`, or mean squared error of the logits."""
    temperature: float = 20.0
    falling: FallingTemperature | None = None
    """How the teacher's temperature falls from there; None = it stays."""
    fitted: bool = False
    """Whether the student has a temperature of its own, fitted after each epoch (`own_temperature`)."""
    stretch: tuple[float, float] | None = None
    """Shares of the epochs between which students of soft labels learn from the classes, under fresh views."""
    stretch_smoothing: float = 0.0
    """Label smoothing of that stretch."""
    class_weight: float = 0.0
    """Weight of the cross-entropy with the classes that is added to the loss of soft labels."""
    dsa: str = NO_DSA
    """Strategy of differentiable Siamese augmentation, applied after the views, with parameters for each image."""
    tiles: int = 1
    """Tiles per side that are shuffled within each image before a view is taken (RDED); 1 = no shuffle."""
    batch_statistics: bool = False
    """Whether online teachers normalise by the statistics of the student's batch, not by their own."""
    learned_rate: bool = False
    """Whether a learning rate that the set has learned replaces the protocol's (MTT)."""
    procedure: Literal["training", "kernel", "own"] = "training"
    """See `Procedure`; own = that of the set's method."""
    kernel: TangentKernel = "fc"
    """That of the procedure `kernel`; under `own` it is the set's."""

    def batch(self, ipc: int, num_classes: int) -> int:
        """Return the batch for a set of `ipc` images of each of `num_classes` classes; at most all of them."""
        size = next((batch for upto, batch in self.batches if ipc <= upto), self.batches[-1][1])
        if num_classes >= 100:
            size *= self.many_classes
        return min(size, ipc * num_classes)

    def temperature_in(self, epoch: int, epochs: int, start: float) -> float:
        """Return the teacher's temperature in an epoch, counted from 0, if it is `start` in the first."""
        return start if self.falling is None else self.falling.at(epoch, epochs, start)

    def hard_epochs(self, epochs: int) -> range:
        """Return the epochs, counted from 0, of the stretch with hard labels; none without one."""
        first, last = self.stretch or (0.0, 0.0)
        return range(round(first * epochs), round(last * epochs))

    def soft_epochs(self, before: int, epochs: int) -> int:
        """Return the number of epochs with soft labels among those before epoch `before` of `epochs`."""
        hard = self.hard_epochs(epochs)
        return before - max(0, min(before, hard.stop) - hard.start)

    def epochs_for(self, stored: int, epochs: int) -> int:
        """Return the largest number of epochs, `epochs` at most, for whose soft labels `stored` ones are enough."""
        return next((n for n in range(epochs, 0, -1) if self.soft_epochs(n, n) <= stored), stored)

    def settings(self, ipc: int, num_classes: int) -> TrainSettings:
        """Return the training settings for such a set."""
        return self.training.with_(batch=self.batch(ipc, num_classes))

    def with_(self, *, epochs: int | None, batch: int | None) -> "EvaluationProtocol":
        """Return the protocol with other epochs, and with one batch for sets of any size; None = as it is."""
        changed = self if epochs is None else replace(self, training=self.training.with_(epochs=epochs))
        return changed if batch is None else replace(changed, batches=((_ALWAYS, batch),), many_classes=1)


_ALWAYS = 10**9
_ADAMW = TrainSettings(epochs=300, optimiser="adamw", lr=1e-3, weight_decay=0.01)
_SGD = TrainSettings(epochs=1000, optimiser="sgd", lr=0.01, momentum=0.9, weight_decay=5e-4, schedule="step")
_STRONG = ViewSettings(crop_min=0.08, flip=True, cutmix=1.0)
_HALF = ViewSettings(crop_min=0.5, flip=True, cutmix=1.0)
_WHOLE = ViewSettings(crop_min=1.0, flip=False, cutmix=0.0)

_WMDD = EvaluationProtocol(
    name="wmdd",
    summary="300 epochs, batch 100 or all images, AdamW, plain cosine, stored labels",
    source="WMDD reference code run.sh and train_FKD.py",
    labels="stored",
    training=_ADAMW,
    views=_STRONG,
    batches=((_ALWAYS, 100),),
)
_RDED = EvaluationProtocol(
    name="rded",
    summary="300 epochs, small batch, half cosine (zeta 2), teacher online, crops of half the area and more",
    source="RDED argument.py, validation/main.py (CVPR 2024) at factor 2, without the patch shuffle of its mosaics",
    labels="online",
    training=_ADAMW.with_(zeta=2.0),
    views=_HALF,
    batches=((1, 10), (10, 50), (50, 100)),
    many_classes=2,
)

_SOFT = (
    _WMDD,
    replace(
        _WMDD,
        name="sre2l",
        summary="as wmdd with batch 1024",
        source="SRe2L train_FKD.sh (NeurIPS 2023)",
        batches=((_ALWAYS, 1024),),
    ),
    replace(
        _WMDD,
        name="cda",
        summary="as wmdd with batch 128",
        source="CDA (TMLR 2024) and DD-Ranking's settings for it",
        batches=((_ALWAYS, 128),),
    ),
    replace(
        _WMDD,
        name="gvbsm",
        summary="300 epochs, batch 1024, squared error of the logits with 0.1 cross-entropy, stored labels",
        source="G-VBSM (CVPR 2024) on ImageNet-1k; on CIFAR 1000 epochs, batch 100 and 0.15. Give relabel.teachers",
        batches=((_ALWAYS, 1024),),
        loss="mse",
        class_weight=0.1,
    ),
    replace(
        _WMDD,
        name="lpqld",
        summary="300 epochs, batch 128, stored labels, teacher's temperature falling from 20 to 2, the student's own "
        "fitted after each epoch",
        source="LPQLD (arXiv:2604.18135), its script for ImageNet-1k with relabel.passes 31 and the top 100, 50 or 10 "
        "logits; a guess: the fit is to the last batch's logits as they were trained on",
        batches=((_ALWAYS, 128),),
        falling=FallingTemperature(factor=0.7, steps=10, least=2.0),
        fitted=True,
    ),
    replace(
        _WMDD,
        name="hald",
        summary="300 epochs, batch 16, half cosine (zeta 2), stored labels for the first and the last quarter, "
        "the classes with label smoothing 0.8 between",
        source="HALD (arXiv:2512.15647), rate 1e-3 and zeta 2 of those it has by IPC: a guess which; its teacher "
        "normalises by its batches, this one does not",
        training=_ADAMW.with_(zeta=2.0),
        batches=((_ALWAYS, 16),),
        stretch=(0.25, 0.75),
        stretch_smoothing=0.8,
    ),
    _RDED,
    replace(
        _RDED,
        name="rded_mosaic",
        summary="as rded with the patch shuffle: the 2 x 2 patches of an image change places before each crop",
        source="RDED validation/main.py (CVPR 2024), for sets of 2 x 2 crops (not CIFAR, not Tiny-ImageNet)",
        tiles=2,
    ),
    replace(
        _RDED,
        name="rded_whole",
        summary="as rded with whole images: its crops keep 1/factor of the area, and factor is 1 up to 64 pixels",
        source="RDED validation/main.py (CVPR 2024), for sets of single crops (CIFAR, Tiny-ImageNet)",
        views=ViewSettings(crop_min=1.0, flip=True, cutmix=1.0),
    ),
    replace(
        _RDED,
        name="edc",
        summary="300 epochs, small batch, half cosine, moving average, patch shuffle, squared error with 0.025 "
        "cross-entropy, teachers online",
        source="EDC (NeurIPS 2024) on ImageNet-1k; on CIFAR 1000 epochs. Give relabel.teachers",
        training=_ADAMW.with_(zeta=2.0, ema=0.99),
        batches=((1, 10), (_ALWAYS, 50)),
        loss="mse",
        class_weight=0.025,
        tiles=2,
    ),
    EvaluationProtocol(
        name="fadrm",
        summary="300 epochs, batch 16, half cosine, teacher online with the BatchNorm statistics of each batch",
        source="FADRM's scripts (NeurIPS 2025) up to 10 images a class; plain cosine at 50, batch 10 for ten classes, "
        "1000 epochs on CIFAR. For FADRM+ give relabel.teachers",
        labels="online",
        training=_ADAMW.with_(zeta=2.0),
        views=_STRONG,
        batches=((_ALWAYS, 16),),
        batch_statistics=True,
    ),
    EvaluationProtocol(
        name="rd3",
        summary="400 epochs, batch 50, teacher online",
        source="RD3 (ICLR 2026), from a summary; crops as in RDED",
        labels="online",
        training=_ADAMW.with_(epochs=400),
        views=_HALF,
        batches=((_ALWAYS, 50),),
    ),
    EvaluationProtocol(
        name="cim",
        summary="300 epochs, batch 50, squared error of the logits, DSA instead of crops, teacher online",
        source="CIM (arXiv:2607.00916) on ImageNet-1k, elsewhere 1000 epochs; its batch and schedule were not found: "
        "EDC's batch, plain cosine",
        labels="online",
        training=_ADAMW,
        views=_WHOLE,
        batches=((_ALWAYS, 50),),
        loss="mse",
        dsa=FULL_DSA,
    ),
)

_DC = EvaluationProtocol(
    name="dc",
    summary="1000 epochs, batch 256, SGD, a tenth of the rate past half, DSA, classes or the set's own targets, "
    "weights unused",
    source="DSA's and DM's evaluation (Zhao and Bilen 2021, 2023), one epoch fewer; MTT's with the rate it learned",
    labels="hard",
    training=_SGD,
    views=_WHOLE,
    batches=((_ALWAYS, 256),),
    dsa=FULL_DSA,
    learned_rate=True,
)

_KERNEL = replace(
    _DC,
    name="kernel",
    summary="no student: regression with the tangent kernel of a wide network of one hidden layer",
    source="KIP (Nguyen et al. 2021); what `own` is for kip and ls, here for every set, random images among them",
    training=_SGD.with_(epochs=1),
    dsa=NO_DSA,
    procedure="kernel",
)

_HARD = (
    EvaluationProtocol(
        name="hard",
        summary="300 epochs, batch 128, cross-entropy with the classes alone, light views, weights unused",
        source="common to DD-Ranking's and Rethinking-DC's hard-label rows (300 to 1000 epochs, batch 128 to 256)",
        labels="hard",
        training=_ADAMW,
        views=ViewSettings(crop_min=0.5, flip=True, cutmix=0.0),
        batches=((_ALWAYS, 128),),
    ),
    _DC,
    replace(
        _DC,
        name="dc_plain",
        summary="as dc, 300 epochs without augmentation",
        source="DC's evaluation (Zhao et al. 2021), one epoch fewer",
        training=_SGD.with_(epochs=300),
        dsa=NO_DSA,
    ),
    replace(
        _DC,
        name="dc_noaug",
        summary="as dc without augmentation, in as many epochs",
        source="dc's counterpart in DD-Ranking's augmentation robust score; no paper trains its students by it",
        dsa=NO_DSA,
    ),
    replace(
        _DC,
        name="own",
        summary="as the set's method has it: kernel regression (kip, ls), its learned steps (dd), else as dc; "
        "weights unused",
        source="each method's paper",
        procedure="own",
    ),
    _KERNEL,
    replace(
        _KERNEL,
        name="kernel_conv",
        summary="as kernel for a ConvNet of three blocks with pooling: hours for thousands of test images of 32 pixels",
        source="KIP's second paper (Nguyen et al. 2021, arXiv:2107.13034)",
        kernel="convnet3",
    ),
)


PROTOCOLS: dict[str, EvaluationProtocol] = {protocol.name: protocol for protocol in (*_SOFT, *_HARD)}
