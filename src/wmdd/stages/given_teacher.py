"""What squeeze makes of a network from outside: the normalisation that it gets, and whether it may go on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from wmdd.context import Context
from wmdd.data.inputs import Normalisation
from wmdd.data.loading import channel_moments
from wmdd.errors import ConfigError
from wmdd.evaluation.trials import (
    SURE,
    Trial,
    above_chance,
    best_form,
    clearly_more,
    majority,
    near_chance,
    noise,
    order_words,
    try_teacher,
)
from wmdd.models.checkpoints import Checkpoint, load_checkpoint
from wmdd.models.foreign_facts import IMAGENET, Moments, fit_channels, per_channel, stated_moments
from wmdd.settings import SqueezeSettings
from wmdd.values import ImageSet, ModelSpec

_FLAGS = {
    "data": "--squeeze.mean data",
    "imagenet": "--squeeze.mean imagenet",
    "half": "--squeeze.mean 0.5 --squeeze.std 0.5",
    "none": "--squeeze.mean 0 --squeeze.std 1",
}
"""Normalisations that are tried, and how to ask for them."""
_WORDS = {
    "data": "the data's mean and deviation",
    "imagenet": "ImageNet's mean and deviation",
    "half": "mean and deviation 0.5",
    "none": "pixels in [0, 1] as they are",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenTeacher:
    """A network that is not trained here."""

    owner: str
    """Whose weights they are, in words: `"checkpoint t.pth"`."""
    model: nn.Module
    """In eval mode, on the device."""
    given: Moments | str | None
    """The normalisation that settings or its source give, or a word for it."""
    top1: float | None
    """Its accuracy as its source states it, in per cent."""


def open_checkpoint(
    settings: SqueezeSettings, spec: ModelSpec, classes: Sequence[str]
) -> tuple[Checkpoint, Moments | str | None]:
    """Return the checkpoint that settings name, and the normalisation that they, or else the file, give.

    Raises:
        ConfigError: it is no teacher of these classes for the network of `spec`; or a normalisation does not fit.
    """
    path, given = Path(settings.checkpoint or ""), given_moments(settings, spec.channels)
    found = load_checkpoint(path, spec, classes, settings.classes)
    return found, stated_moments(path, found.facts, spec.channels) if given is None else given


def given_moments(settings: SqueezeSettings, channels: int) -> Moments | str | None:
    """Return the mean and deviation that settings give, a word for them, or None.

    Raises:
        ConfigError: the settings have numbers for another number of channels.
    """
    mean, std = settings.mean, settings.std
    if isinstance(mean, tuple) and isinstance(std, tuple):
        return fit_channels(mean, std, channels, "squeeze.mean and squeeze.std")
    return next((word for word in (mean, std) if isinstance(word, str) and word != "auto"), None)


def moments_for(given: Moments | str | None, train: ImageSet) -> Moments:
    """Return mean and deviation: those given, or those that a word names; without either, the data's."""
    if given == "imagenet":
        return per_channel(IMAGENET[0], train.channels), per_channel(IMAGENET[1], train.channels)
    return channel_moments(train) if given is None or isinstance(given, str) else given


def examine(
    teacher: GivenTeacher, train: ImageSet, settings: SqueezeSettings, ctx: Context
) -> tuple[Normalisation, Trial]:
    """Return the normalisation for a given teacher, and its answers to training images under it.

    If neither settings nor its source gave one, it is the data's, or another known one that fits much better. A given
    one is kept. What fits better is said.

    Raises:
        ConfigError: another class order fits clearly better, and `squeeze.accept_weak` is off.
    """
    given = teacher.given
    now = given if isinstance(given, str) else "data" if given is None else "given"
    forms = {now: _form(moments_for(given, train), train)}
    trials = {now: try_teacher(teacher.model, train, forms[now], ctx)}
    if trials[now].share < SURE:
        forms |= {name: form for name, form in _known_forms(train).items() if form not in forms.values()}
        trials |= {name: try_teacher(teacher.model, train, forms[name], ctx) for name in forms if name != now}
        better = best_form(trials, now)
        if better is not None:
            taken = given is None and clearly_more(trials[better].best, trials[now].best)
            _tell_form(teacher.owner, trials, now, better, taken=taken, ctx=ctx)
            now = better if taken else now
    _require_order(teacher.owner, trials[now], train, settings, ctx)
    return forms[now], trials[now]


def require_accuracy(
    teacher: GivenTeacher, trial: Trial, val: ImageSet, top1: float, settings: SqueezeSettings, *, ctx: Context
) -> None:
    """Refuse a given teacher that is near chance or far below its own accuracy, or say so if settings go on with it.

    `top1` is its accuracy on `val` in per cent.

    Raises:
        ConfigError: it is too weak, and `squeeze.accept_weak` is off.
    """
    share, tried = top1 / 100, len(trial.right)
    total = len(val) + tried
    pooled = (share * len(val) + trial.share * tried) / total
    luck = (majority(val.labels) * len(val) + trial.chance * tried) / total
    got = f"got {top1:.1f} % of {len(val)} {val.kind} images right"
    on_training = f"{100 * trial.share:.1f} % of {tried} training images"
    weak = None
    if near_chance(pooled, total, luck):
        weak = f"{teacher.owner} is no better than chance; {got}, {on_training} (chance is {100 * luck:.1f} %)"
    elif _far_below(share, len(val), majority(val.labels), trial):
        weak = f"{teacher.owner} is far worse than on training images; {got}, {on_training}"
    elif teacher.top1 is not None and teacher.top1 - top1 > max(10, 100 * noise(share, len(val))):
        weak = f"{teacher.owner} is far below the accuracy that it states; {got}, {teacher.top1:.1f} % stated"
    if weak is not None:
        advice = "check its normalisation (squeeze.mean, squeeze.std), class order (squeeze.classes), stem and data"
        _refuse("weak teacher", weak, advice, settings, ctx)


def warn_of_chance(arch: str, val: ImageSet, top1: float, ctx: Context) -> None:
    """Say that a network that was trained here is near chance."""
    luck = majority(val.labels)
    if near_chance(top1 / 100, len(val), luck):
        text = (
            f"teacher {arch} is no better than chance; got {top1:.1f} % of {len(val)} {val.kind} images right (chance "
            f"is {100 * luck:.1f} %); train it longer, or look at the labels"
        )
        ctx.warn("weak teacher", text)


def _form(moments: Moments, train: ImageSet) -> Normalisation:
    return Normalisation(image_size=train.image_size, mean=moments[0], std=moments[1])


def _known_forms(train: ImageSet) -> dict[str, Normalisation]:
    """Return the normalisations that networks are usually trained under."""
    numbers = {"half": ((0.5,), (0.5,)), "none": ((0.0,), (1.0,))}
    moments = {name: moments_for(name, train) for name in ("data", "imagenet")}
    moments |= {name: fit_channels(*each, train.channels, name) for name, each in numbers.items()}
    return {name: _form(each, train) for name, each in moments.items()}


def _tell_form(owner: str, trials: Mapping[str, Trial], now: str, better: str, *, taken: bool, ctx: Context) -> None:
    found, before = (100 * float(trials[name].best.float().mean()) for name in (better, now))
    seen = (
        f"{found:.1f} % of {len(trials[now].right)} training images are right, and {before:.1f} % under "
        f"{_WORDS.get(now, 'the given normalisation')}"
    )
    if taken:
        text = (
            f"{owner} states no normalisation; {_WORDS[better]} are used, under which {seen}; give {_FLAGS[better]} to "
            f"say so, or {_FLAGS[now]}"
        )
    else:
        text = f"{owner} fits {_WORDS[better]} better, under which {seen}; give {_FLAGS[better]} if it was trained so"
    ctx.warn("teacher normalisation", text)


def _require_order(owner: str, trial: Trial, train: ImageSet, settings: SqueezeSettings, ctx: Context) -> None:
    if not trial.turned:
        return
    words, flag = order_words(trial.order, train.classes)
    text = (
        f"{owner} has another class order than the data; got {100 * trial.share:.1f} % of {len(trial.right)} training "
        f"images right, {100 * float(trial.reordered.float().mean()):.1f} % if its outputs are the classes in {words}"
    )
    _refuse("class order", text, f"give {flag}", settings, ctx)


def _far_below(share: float, count: int, chance: float, trial: Trial) -> bool:
    """Return whether accuracy on validation images is less than half of that on training ones, counted from chance."""
    spread = noise(share, count) + noise(trial.share, len(trial.right))
    half = 0.5 * above_chance(trial.share, trial.chance)
    return above_chance(share, chance) < half and trial.share - share > spread


def _refuse(kind: str, text: str, advice: str, settings: SqueezeSettings, ctx: Context) -> None:
    """Say it where settings go on with a weak teacher, else raise `ConfigError`."""
    if not settings.accept_weak:
        raise ConfigError(f"{text}; {advice}, or go on with --squeeze.accept-weak")
    ctx.warn(kind, f"{text}; {advice}")
