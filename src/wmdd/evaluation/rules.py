"""A student's training and test in words: everything that its accuracy rests on, said from the protocol itself.

The data-set card prints it, so that a figure can be reproduced from the card alone.
"""

from wmdd.evaluation.protocols import EvaluationProtocol
from wmdd.evaluation.students import Student
from wmdd.settings import TrainSettings, ViewSettings, strategy_groups
from wmdd.training.kernels import network_of
from wmdd.training.ntk import BIAS_VARIANCE, RIDGE, WEIGHT_VARIANCE
from wmdd.training.optim import cut_epoch
from wmdd.values import SoftLabels

Rules = dict[str, str]
"""What is ruled → the rule, in reading order."""


def student_rules(student: Student, *, side: int, product: SoftLabels | None, targets: bool) -> Rules:
    """Return the rules for one student; those that differ only in network and seed have the same.

    Args:
        student: the student.
        side: R, side of the images.
        product: the labels that are stored with the set, as config fkd; None if none are.
        targets: whether the set has fixed targets.
    """
    if student.procedure == "kernel":
        return {
            "procedure": "no student: ridge regression on the set with the tangent kernel of "
            f"{network_of(student.kernel)}, variances {WEIGHT_VARIANCE:g} of weights and {BIAS_VARIANCE:g} of biases, "
            f"ridge {RIDGE:g} of the kernel's mean diagonal",
            "labels": "the set's targets" if targets else "the classes, one-hot, less their mean",
            **_test(side),
        }
    if student.procedure == "steps":
        return {
            "procedure": "one plain gradient step for each learned rate, from fresh weights drawn as Xavier has it, on "
            "the cross-entropy of the next image of every class in turn",
            "weights of images": "not used",
            **_test(side),
        }
    return {
        "epochs": str(student.training.epochs),
        "batch": f"{student.training.batch} images, every image once in an epoch; a remainder of one image joins the "
        "batch before",
        **_optimisation(student.training),
        "views": _views(student, product, side),
        **_learning(student, product, targets),
        **_test(side),
    }


def _test(side: int) -> Rules:
    return {"test": f"once, after the last epoch, on the central {side} x {side} pixels of each test image, normalised"}


def _optimisation(training: TrainSettings) -> Rules:
    tested = {"tested network": f"moving average of the weights, decay {training.ema:g}"} if training.ema else {}
    return {"optimiser": _optimiser(training), "learning rate": _rate(training), **tested}


def _optimiser(training: TrainSettings) -> str:
    decay = f"weight decay {training.weight_decay:g}"
    if training.optimiser == "sgd":
        return f"SGD, momentum {training.momentum:g}, {decay}"
    return f"AdamW, betas 0.9 and 0.999, {decay}, none on parameters of one dimension"


def _rate(training: TrainSettings) -> str:
    start, epochs = f"{training.lr:g}", training.epochs
    if training.schedule == "cosine":
        period = f"{training.zeta * epochs:g}"
        rate = f"cosine in steps of an epoch: {start} (1 + cos(pi i / {period})) / 2 in epoch i = 0 to {epochs - 1}"
    elif training.schedule == "step":
        rate = f"{start}, a tenth of it from epoch {cut_epoch(training)} on (counted from 0), the optimiser restarted"
    else:
        rate = f"{start} throughout"
    return rate + (f", rising linearly over the first {training.warmup:g} epochs" if training.warmup else "")


def _views(student: Student, product: SoftLabels | None, side: int) -> str:
    protocol = student.protocol
    if student.replays is not None and student.replays is product:
        return f"those of {_place(student.replays)}, {_order(student.replays)}"
    tiles = f"{protocol.tiles} x {protocol.tiles} tiles"
    shuffle = f"the {tiles} of an image in random places, then " if protocol.tiles > 1 else ""
    groups = ", ".join(strategy_groups(protocol.dsa))
    dsa = f", then DSA: one of {groups} for each batch, with parameters for each image" if groups else ""
    return shuffle + view_rules(student.views, side) + dsa


def _place(product: SoftLabels) -> str:
    """Return where the labels of the product are: tables are a config of the data set, and have the views."""
    return "config fkd" if product.store == "full" else "the set's soft labels"


def _order(labels: SoftLabels) -> str:
    """Return in which order stored labels are replayed."""
    if not labels.pooled:
        return "replayed in stored order"
    return (
        f"its {len(labels.epochs)} epochs first in stored order, then, again and again, all of its batches in a random "
        "order of the student's seed, cut into epochs of as many batches"
    )


def _kept(labels: SoftLabels) -> str:
    """Return how much of the answers is stored."""
    return "kept in 8 bits" if labels.store == "topk" else "kept in fp16"


def view_rules(views: ViewSettings, side: int) -> str:
    """Return how random views are drawn, in words."""
    crop = (
        f"random crops of {100 * views.crop_min:g} to 100 % of the area, sides in a ratio of 3/4 to 4/3, resized to "
        f"{side} x {side} (bilinear, no antialiasing)"
    )
    alpha = f"{views.cutmix:g}"
    parts = [
        "whole images" if views.crop_min == 1 else crop,
        *(["half of them mirrored"] if views.flip else []),
        *([f"CutMix with lambda from Beta({alpha}, {alpha}) for each image"] if views.cutmix else []),
    ]
    return ", ".join(parts)


def _learning(student: Student, product: SoftLabels | None, targets: bool) -> Rules:
    protocol = student.protocol
    if student.labels == "hard":
        return {
            "labels": ("the set's targets" if targets else "the classes") + ", mixed by area where CutMix mixes images",
            "loss": f"{'half the squared error of the outputs' if targets else 'cross-entropy'}, mean over the batch",
            "weights of images": "not used",
        }
    loss = _soft_loss(protocol, student)
    classes = f" plus {protocol.class_weight:g} x cross-entropy with the classes" if protocol.class_weight else ""
    return {
        "labels": _answers(student, product) + _stretch(student),
        "loss": f"{loss}, times weight / mean(weight), mean over the batch{classes}",
        "weights of images": "weight / mean(weight) of the whole set"
        + (", not in the cross-entropy" if classes else ""),
    }


def _soft_loss(protocol: EvaluationProtocol, student: Student) -> str:
    if protocol.loss == "mse":
        return "squared error of the logits, mean over classes"
    falls, start = protocol.falling, f"{student.temperature:g}"
    teacher = start if falls is None else "T"
    own = "t" if protocol.fitted else teacher
    words = f"KL(softmax(teacher / {teacher}) || softmax(student / {own})), no factor T²"
    if falls is not None:
        share = f"{falls.steps} e / {student.training.epochs}"
        words += f", T = max({falls.least:g}, {start} x {falls.factor:g}^floor({share})) in epoch e = 0, 1, ..."
    if protocol.fitted:
        words += (
            ", t = 1 in the first epoch, then the best for the last batch of the epoch before, of 0.01, 0.02, ... 1"
        )
    return words


def _stretch(student: Student) -> str:
    """Say in which epochs the classes stand in for the teacher; empty if in none."""
    protocol, epochs = student.protocol, student.training.epochs
    hard = protocol.hard_epochs(epochs)
    smoothing = f", smoothed by {protocol.stretch_smoothing:g}" if protocol.stretch_smoothing else ""
    if not hard:
        return ""
    return (
        f"; in epochs {hard[0]} to {hard[-1]} (counted from 0) cross-entropy with the classes{smoothing}, mixed by "
        "area where CutMix mixes images, under views drawn anew, weights not used"
    )


def _answers(student: Student, product: SoftLabels | None) -> str:
    protocol = student.protocol
    if student.replays is not None:
        where = (
            f" in {_place(student.replays)}"
            if student.replays is product
            else f" of each view, {_kept(student.replays)}"
        )
        return f"the teacher's logits{where}"
    batch = ", its BatchNorm layers normalising by the batch" if protocol.batch_statistics else ""
    return f"the teacher's logits of each view, computed while training{batch}"
